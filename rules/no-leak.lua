-- no-leak.lua: only these networks may be reached; whatever is sent elsewhere
-- is refused, and its sender told.
--
-- Arguments:  --arg nets=PREFIX,PREFIX,...  addresses, prefixes and ranges; "!"
--                                           in front makes an exception (needed)
--
-- That is every IPv4 packet, so name the DNS server as well, and
-- 255.255.255.255 where an address is leased by DHCP. Rules do not see IPv6:
-- switch it off where there is any. When sluice does not run nothing is
-- refused.
--
-- Try it:  sudo sluice run rules/no-leak.lua --arg nets=192.0.2.0/24 -- \
--            ping -c 1 198.51.100.9

-- Everything but these: the longest prefix decides, so each of them is turned
-- into its opposite.
local elsewhere = { "0.0.0.0/0" }
for net in (args.nets or error("no-leak.lua wants --arg nets=PREFIX,...", 0)):gmatch("[^,%s]+") do
  elsewhere[#elsewhere + 1] = net:sub(1, 1) == "!" and net:sub(2) or "!" .. net
end
if #elsewhere == 1 then error("no-leak.lua: --arg nets=PREFIX,... is empty", 0) end

rule {
  name   = "no-leak",
  match  = { dst = set(elsewhere) },
  action = reject("admin-prohibited"),
}
