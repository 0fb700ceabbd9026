-- Packets are written as they are at that moment, bare, with the file's time.
rule {
  name   = "keep",
  match  = { proto = { "udp", "icmp" } },
  action = function(pkt)
    if pkt.udp then
      pcap(pkt, "udp.pcap")
      pkt.ip.ttl = 9
      pcap(pkt, "both.pcapng")
      return
    end
    pcap(pkt:unreachable() or pkt, "both.pcapng")
    return DROP
  end,
}

-- What is made later is of the time when it was made.
after(0.5, function()
  pcap(packet { src = "192.0.2.9", dst = "203.0.113.1", id = 5,
                udp = { sport = 1, dport = 2 } }, "udp.pcap")
end)

-- Names that lead out, or to what is read, are an error.
rule {
  name   = "wrong",
  match  = { proto = "tcp" },
  action = function(pkt)
    for _, name in ipairs { "../out.pcap", "/tmp/out.pcap", "out.txt", "rule.lua" } do
      count(pcall(pcap, pkt, name) and "written" or "refused")
    end
  end,
}
