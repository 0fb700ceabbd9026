-- What is due happens at its own time, between the packets of the file; time
-- ends a second behind the last of them.
local ticks = 0
every(1200, function() ticks = ticks + 1 log("tick", ticks) end)
after(0.55, function()
  send(packet { src = "192.0.2.9", dst = "203.0.113.1", id = 5, udp = { sport = 1, dport = 2 } })
end)
after(4000, function() log "never" end)
task(function()
  sleep(0.25)
  send(packet { src = "192.0.2.9", dst = "203.0.113.1", id = 6, udp = { sport = 1, dport = 2 } })
end)

rule {
  name = "delayed",
  match = { proto = "icmp" },
  action = function(pkt) return pkt:echo_reply { delay = 0.75 } end,
}
rule {
  name = "flow",
  action = function(pkt)
    audit(pkt, ("%d of its flow"):format(pkt.flow.packets))
    if pkt.flow.packets == 2 then return DROP end
  end,
}
