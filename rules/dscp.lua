-- dscp.lua: mark packets for a class of service (RFC 2474).
--
-- Arguments:  --arg dscp=NAME    ef, af11 to af43, cs0 to cs7, or 0 to 63 (ef)
--             --arg dport=PORT   only TCP and UDP to this port (all packets)
--             --arg proto=NAME   only this protocol
--
-- Try it:  sudo sluice run rules/dscp.lua --arg dscp=af41 -- ping -c 1 192.0.2.1
--          and look at the far side: tcpdump -v icmp shows tos 0x88

rule {
  name    = "dscp",
  match   = { dport = args.dport, proto = args.proto },
  rewrite = { dscp = args.dscp or "ef" },
}
