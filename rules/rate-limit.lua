-- rate-limit.lua: so many packets a second to each destination, and no more.
-- Each has a bucket of tokens: it begins full, a packet takes one, and they
-- come back at the rate. A packet that finds none is dropped.
--
-- Arguments:  --arg rate=N                packets a second (10)
--             --arg burst=N               what the bucket holds (20)
--             --arg proto=, dst=, dport=  only these packets (all)
--
-- With offload one packet may stand for several of a TCP stream and takes one
-- token; limit connections by their SYNs, or data with throttle.lua.
--
-- Try it:  sudo sluice run rules/rate-limit.lua --arg rate=1 --arg burst=3 -- \
--            ping -c 10 -i 0.2 192.0.2.1

local fault = require "fault"

local rate  = fault.number("rate", 10, 0, 1e9)
local burst = fault.number("burst", 20, 1, 1e9)
local clock = fault.clock()

-- Destinations of late, and those before them. When there are many the older
-- half is forgotten, and begins anew with a full bucket.
local MANY = 10000
local buckets, before, count_of = {}, {}, 0

local function bucket(dst, now)
  local b = buckets[dst]
  if b then return b end
  if count_of == MANY then
    before, buckets, count_of = buckets, {}, 0
  end
  b = before[dst] or { tokens = burst, time = now }
  buckets[dst] = b
  count_of = count_of + 1
  return b
end

rule {
  name   = "rate-limit",
  match  = { dir = "out", proto = args.proto, dst = args.dst, dport = args.dport },
  action = function(pkt)
    local now = clock(pkt)
    local b = bucket(pkt.dst, now)
    b.tokens = math.min(burst, b.tokens + (now - b.time) * rate)
    b.time = now
    if b.tokens < 1 then
      count("rate-limited")
      return DROP
    end
    b.tokens = b.tokens - 1
  end,
}
