-- Every verdict an action can return, and what a rule can do beside it.
local function on(port, name, action)
  rule { name = name, match = { proto = "udp", dport = port }, action = action }
end

on(1, "accept", function(pkt) pkt.ip.ttl = 7 return ACCEPT end)
on(2, "drop", function(pkt) pkt.ip.ttl = 7 return DROP end)
-- Its sender is told of the packet as it was sent, whatever a rule made of it.
on(3, "reject", function(pkt) pkt.dst = "203.0.113.9" return reject("admin-prohibited") end)
on(4, "replace", function(pkt)
  local twin = pkt:clone()
  twin.payload = "twin of it"
  return { pkt, twin, pkt:reply { payload = "answer" } }
end)
on(5, "send", function(pkt)
  send(packet { dst = "203.0.113.1", ttl = 3, id = 77, icmp = { type = 8, id = 1, seq = 2 }, payload = "probe" })
end)
on(6, "world", function(pkt)
  log("port", pkt.dport, "dir", pkt.dir, "time", pkt.time)
  count("sixes") count("bytes", pkt.len)
  audit(pkt, 'a "note"')
end)
rule { name = "where", match = { dport = "6-7" }, where = function(pkt) return pkt.dport == 7 end, action = DROP }
rule { name = "counts", match = { proto = "udp" }, action = function() count("seen") end }
rule { name = "rewrites", match = { dport = 8 }, rewrite = { src = "192.0.2.99", sport = 1, dport = 80, id = 99 } }
rule { name = "left", match = { dport = 9 }, action = REJECT }
