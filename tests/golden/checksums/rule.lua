-- Good and bad twins: what is wrong is thrown away, and said.
rule {
  name   = "broken",
  where  = function(pkt) return not pkt.checksum_ok end,
  action = DROP,
}
