-- fake-hops.lua: traceroute sees routers that do not exist. Probes that would
-- die at hop n are answered from the n-th address of a list; the destination
-- is one hop behind the last one.
--
-- Arguments:  --arg hops=ADDRESS,ADDRESS,...  (192.0.2.11,192.0.2.12,192.0.2.13)
--             --arg dst=PREFIX                only towards these (all)
--
-- Try it:  sluice lab rules/fake-hops.lua -- traceroute -n 198.51.100.9
--          (install traceroute; any of its methods will do)

local hops = {}
for addr in (args.hops or "192.0.2.11,192.0.2.12,192.0.2.13"):gmatch("[^,]+") do
  hops[#hops + 1] = addr
end
if #hops == 0 then error("fake-hops.lua: --arg hops=ADDRESS,... is empty", 0) end

rule {
  name   = "fake-hop",
  match  = { dst = args.dst, ttl = "1-" .. #hops },
  action = function(pkt)
    -- What must not be answered (an ICMP error) dies there silently.
    return pkt:time_exceeded { from = hops[pkt.ip.ttl] } or DROP
  end,
}

-- What passes all of them has reached the end.
rule {
  name   = "fake-end-ping",
  match  = { dst = args.dst, proto = "icmp", icmp_type = "echo-request" },
  action = function(pkt) return pkt:echo_reply() end,
}

rule {
  name   = "fake-end-udp",
  match  = { dst = args.dst, proto = "udp", dport = "33434-33534" },
  action = REJECT,
}

-- The real network behind them is #hops nearer than it looks.
rule {
  name   = "behind-the-hops",
  match  = { dst = args.dst, ttl = (#hops + 1) .. "-255" },
  action = function(pkt) pkt.ip.ttl = pkt.ip.ttl - #hops end,
}
