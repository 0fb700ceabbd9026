-- duplicate.lua: packets arrive more than once.
--
-- Arguments:  --arg percent=N             the share that does (10)
--             --arg copies=N              how many more of each (1)
--             --arg seed=N                the same packets each time
--             --arg dir=out|in|both       what is sent, or what arrives (out)
--             --arg proto=, dst=, dport=  only these (all)
--
-- Try it:  sudo sluice run rules/duplicate.lua --arg percent=100 \
--            --arg proto=icmp -- ping -c 3 192.0.2.1
--          which reports every answer but the first as "DUP!"

local fault = require "fault"

fault.rules("duplicate", fault.duplicate, {
  percent = fault.percent(10),
  copies  = fault.whole("copies", 1, 1, 100),
})
