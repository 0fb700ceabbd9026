-- block-list.lua: refuse packets to the prefixes of a file. A line is an
-- address, a prefix or a range; "!" in front makes an exception, the longest
-- prefix decides; "#" starts a comment.
--
-- Arguments:  --arg file=PATH    the list (needed)
--             --arg silent=yes   drop without telling the sender
--
-- Try it:  printf '198.51.100.0/24\n!198.51.100.9\n' >blocked.txt
--          sudo sluice run rules/block-list.lua --arg file=blocked.txt -- \
--            ping -c 1 198.51.100.8

local blocked = set.file(args.file or error("block-list.lua wants --arg file=PATH", 0))

rule {
  name   = "block-list",
  match  = { dst = blocked },
  action = args.silent and DROP or reject("admin-prohibited"),
}
