-- Every field with a name, written: what the audit says has changed.
rule {
  name = "all",
  action = function(pkt)
    local ip, tcp, udp, icmp = pkt.ip, pkt.tcp, pkt.udp, pkt.icmp
    ip.dscp, ip.ecn, ip.id, ip.df, ip.ttl = 46, 1, 4660, true, 7
    ip.src, ip.dst = "203.0.113.5", "203.0.113.6"
    if tcp then
      tcp.sport, tcp.dport, tcp.seq, tcp.ack_seq = 1001, 1002, 1003, 1004
      tcp.window, tcp.urg_ptr, tcp.flags, tcp.mss = 1005, 1006, "SAE", 1200
    elseif udp then
      udp.sport, udp.dport = 1001, 1002
      pkt.payload = "longer than it was"
    elseif icmp.type == 8 then
      icmp.id, icmp.seq = 1001, 1002
      pkt.payload = "xyz"
    elseif icmp.type == 3 then
      icmp.mtu = 576
    else
      icmp.gateway = "192.0.2.254"
    end
  end,
}
