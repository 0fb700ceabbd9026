-- lossy.lua: packets get lost, as on a bad link.
--
-- Arguments:  --arg percent=N             the share that gets lost (10)
--             --arg burst=N               so many in a row each time (1)
--             --arg seed=N                the same losses each time
--             --arg dir=out|in|both       what is sent, or what arrives (out)
--             --arg proto=, dst=, dport=  only these (all)
--
-- Try it:  sudo sluice run rules/lossy.lua --arg percent=30 --arg seed=1 \
--            --arg proto=icmp -- ping -c 10 -i 0.2 192.0.2.1

local fault = require "fault"

fault.rules("lossy", fault.lossy, {
  percent = fault.percent(10),
  burst   = fault.whole("burst", 1, 1, 1e6),
})
