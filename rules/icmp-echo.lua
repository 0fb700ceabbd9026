-- icmp-echo.lua: answer every ping ourselves; no echo request leaves this
-- host. For testing what depends on ping without a network.
--
-- Arguments:  --arg ttl=N   the TTL of the replies (64)
--
-- Try it:  sluice lab rules/icmp-echo.lua -- ping -c 3 192.0.2.1

local ttl = tonumber(args.ttl or 64)

rule {
  name   = "fake-echo",
  match  = { proto = "icmp", icmp_type = "echo-request" },
  action = function(pkt) return pkt:echo_reply { ttl = ttl } end,
}
