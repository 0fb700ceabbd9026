-- throttle.lua: a slow line. Packets wait until those before them have been
-- sent at its rate; what would wait too long is dropped.
--
-- Arguments:  --arg rate=BYTES            a second; 125k is one Mbit/s (125k)
--             --arg wait=SECONDS          the longest that one waits (0.5)
--             --arg hold=BYTES            what may wait; more is dropped (8M)
--             --arg dir=out|in|both       what is sent, or what arrives (out)
--             --arg proto=, dst=, dport=  only these (all)
--
-- Try it:  sudo sluice run rules/throttle.lua --arg rate=1M -- \
--            iperf3 -c 192.0.2.1
--          which reports less than 8 Mbit/s

local fault = require "fault"

fault.rules("throttle", fault.throttle, {
  rate = fault.bytes("rate", 125000),
  wait = fault.number("wait", 0.5, 0, 3600),
  hold = fault.bytes("hold"),
})
