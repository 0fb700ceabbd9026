-- reorder.lua: packets overtake each other. One is held back until some more
-- have passed, or until no more come for a while.
--
-- Arguments:  --arg percent=N             the share that is held back (10)
--             --arg gap=N                 until N others have passed (1)
--             --arg wait=SECONDS          or so long (0.1)
--             --arg seed=N                the same packets each time
--             --arg dir=out|in|both       what is sent, or what arrives (out)
--             --arg proto=, dst=, dport=  only these (all)
--
-- Try it:  sudo sluice run rules/reorder.lua --no-offload --arg gap=3 -- \
--            iperf3 -u -c 192.0.2.1
--          whose server reports what is "out-of-order"

local fault = require "fault"

fault.rules("reorder", fault.reorder, {
  percent = fault.percent(10),
  gap     = fault.whole("gap", 1, 1, 1e6),
  wait    = fault.number("wait", 0.1, 0, 3600),
})
