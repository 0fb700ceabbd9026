-- A rule that fails after it has changed everything: the packet goes on as it
-- arrived.
rule {
  name = "spoils",
  match = { proto = "udp" },
  action = function(pkt)
    pkt.dst, pkt.ip.ttl, pkt.dport = "203.0.113.1", 1, 99
    pkt.payload = ("x"):rep(100)
    return pkt.tcp.seq
  end,
}
rule {
  name = "endless",
  match = { proto = "tcp" },
  action = function(pkt) pkt.ip.ttl = 1 while true do pcall(error, "on") end end,
}
rule {
  name = "wrong-verdict",
  where = function(pkt) pkt.ip.ttl = 2 return true end,
  action = function() return "DROP" end,
}
