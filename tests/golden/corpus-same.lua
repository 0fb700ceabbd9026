-- Reads every packet and changes nothing.
rule {
  name = "same",
  action = function(pkt)
    local ip = pkt.ip
    if ip then ip.ttl = ip.ttl end
  end,
}
