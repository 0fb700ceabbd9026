-- reject-port.lua: refuse connections to a port, and say so at once: RST for
-- TCP, port unreachable for UDP.
--
-- Arguments:  --arg port=PORT   a port or a range such as 6000-6063 (25)
--             --arg proto=NAME  tcp or udp (both)
--
-- Try it:  sudo sluice run rules/reject-port.lua --arg port=80 -- \
--            curl http://192.0.2.1/

rule {
  name   = "reject-port",
  match  = { proto = args.proto or { "tcp", "udp" }, dport = args.port or "25" },
  action = REJECT,
}
