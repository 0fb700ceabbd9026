-- Everything that check warns about, once; tests/reports.sh compares what it
-- says with warnings.check.
local blocked = set {}
local hits = 0

rule { name = "tcp", match = { proto = "tcp" }, action = DROP }
rule { name = "web", match = { proto = "tcp", dport = 80 }, action = ACCEPT }
rule { name = "syn", match = { tcp_flags = "S" }, action = ACCEPT }
rule {
  name = "odd",
  match = { proto = "udp", icmp_type = 8 },
  action = function(pkt) end,
}
rule { name = "in", match = { dir = "in", sport = 53 }, action = DROP }
rule {
  name = "low",
  where = function(pkt) return pkt.ip.ttl < 5 and pkt.udp.dport == 53 end,
  action = function(pkt)
    totl = 1
    logg("x", hit, s:has(pkt.src))
    hits = hits + 1
  end,
}
rule { name = "set", match = { dst = blocked }, action = DROP }
rule {
  name = "x", where = function(p) return "10.0.0.1" ~= p.ip.dst and 3 <= p.ip.ttl and p.ip.ttl < 9 end, action = DROP }
rule {
  name = "y", where = function(p) return blocked:has(p.dst) end, action = DROP }
rule { name = "all", action = ACCEPT }
rule { name = "late", match = { dport = 1 }, action = DROP }
