-- icmp-echo.lua: answer every ping ourselves; no echo request leaves this
-- host. For testing what depends on ping without a network.
--
-- A ping that comes in fragments, as one larger than the MTU does when it is
-- captured at the wire, has no answer: its first fragment is dropped, and
-- without that nobody can put the others together.
--
-- Arguments:  --arg ttl=N   the TTL of the replies (64)
--
-- Try it:  sluice lab rules/icmp-echo.lua -- ping -c 3 192.0.2.1

local ttl = tonumber(args.ttl or 64)

rule {
  name   = "fragmented-echo",
  match  = { proto = "icmp", icmp_type = "echo-request", fragment = true },
  action = DROP,
}

rule {
  name   = "fake-echo",
  match  = { proto = "icmp", icmp_type = "echo-request" },
  action = function(pkt) return pkt:echo_reply { ttl = ttl } end,
}
