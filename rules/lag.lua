-- lag.lua: packets arrive later, in the order in which they were sent.
--
-- Arguments:  --arg delay=SECONDS         how much later (0.1)
--             --arg jitter=SECONDS        and up to so much more (0)
--             --arg hold=BYTES            what may wait; more is dropped (8M)
--             --arg seed=N                the same jitter each time
--             --arg dir=out|in|both       what is sent, or what arrives (out)
--             --arg proto=, dst=, dport=  only these (all)
--
-- Try it:  sudo sluice run rules/lag.lua --arg delay=0.2 -- ping -c 3 192.0.2.1

local fault = require "fault"

fault.rules("lag", fault.lag, {
  seconds = fault.number("delay", 0.1, 0, 3600),
  jitter  = fault.number("jitter", 0, 0, 3600),
  hold    = fault.bytes("hold"),
})
