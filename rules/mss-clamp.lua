-- mss-clamp.lua: lower the maximum segment size that TCP connections announce
-- (RFC 9293, 3.7.1), for paths on which large packets vanish. It is never
-- raised.
--
-- Arguments:  --arg mss=BYTES   (1360)
--
-- Try it:  sudo sluice run rules/mss-clamp.lua --arg mss=1200 -- \
--            curl http://192.0.2.1/
--          and look at the far side: tcpdump 'tcp[tcpflags] & tcp-syn != 0'

rule {
  name    = "mss-clamp",
  match   = { proto = "tcp", tcp_flags = "S/SR" },
  rewrite = { mss = tonumber(args.mss or 1360) },
}
