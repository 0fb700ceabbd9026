-- ttl.lua: every packet leaves with the same time to live.
--
-- Arguments:  --arg ttl=N   1 to 255 (64)
--
-- Try it:  sudo sluice run rules/ttl.lua --arg ttl=5 -- ping -c 1 192.0.2.1
--          and look at the far side: tcpdump -v icmp

rule {
  name    = "ttl",
  rewrite = { ttl = tonumber(args.ttl or 64) },
}
