-- ip-list.lua: watch what goes to the addresses of a list, and decide about it
-- if that is wanted. An entry is an address, a prefix or a range; "!" in front
-- makes an exception, the longest prefix decides. A packet to the list
-- has a note in the audit.
--
-- Arguments:  --arg list=ENTRY,ENTRY,...   the list, or
--             --arg file=PATH              a file, an entry a line, # comments;
--                                          one of the two is needed, or both
--             --arg action=accept|drop|reject   (none: other rules decide)
--             --arg note=TEXT              what the audit says (on the list)
--
-- Try it:  sudo sluice run --audit rules/ip-list.lua \
--            --arg 'list=198.51.100.0/24,!198.51.100.9' -- \
--            ping -c 1 198.51.100.8

local actions = { accept = ACCEPT, drop = DROP, reject = REJECT }
local verdict = actions[args.action]
if args.action and not verdict then
  error("ip-list.lua: --arg action is accept, drop or reject", 0)
end
local note = args.note or "on the list"

if not (args.list or args.file) then
  error("ip-list.lua wants --arg list=ENTRY,... or --arg file=PATH", 0)
end
local list = args.file and set.file(args.file) or set {}
for entry in (args.list or ""):gmatch("[^,%s]+") do list:add(entry) end

rule {
  name   = "ip-list",
  match  = { dst = list },
  action = function(pkt)
    count("on-the-list")
    audit(pkt, note)
    return verdict
  end,
}
