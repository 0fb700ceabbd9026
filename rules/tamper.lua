-- tamper.lua: one bit of a packet's data arrives as the other.
--
-- Arguments:  --arg percent=N             the share that this happens to (10)
--             --arg checksum=wrong|right  wrong: the receiver can notice it and
--                                         drops the packet; right: only who
--                                         compares the data does (wrong)
--             --arg seed=N                the same bits each time
--             --arg dir=out|in|both       what is sent, or what arrives (out)
--             --arg proto=, dst=, dport=  only these (all)
--
-- Try it:  sudo sluice run rules/tamper.lua --arg checksum=right \
--            --arg percent=100 --arg proto=icmp -- ping -c 3 192.0.2.1
--          which reports "wrong data byte"

local fault = require "fault"

local checksum = args.checksum or "wrong"
if checksum ~= "wrong" and checksum ~= "right" then
  error("tamper.lua: --arg checksum is right or wrong", 0)
end

fault.rules("tamper", fault.tamper, {
  percent  = fault.percent(10),
  checksum = checksum,
})
