-- fault.lua: what goes wrong on networks, for rules to use. A module: it has
-- no rules of its own.
--
--   local fault = require "fault"
--   rule { match = { proto = "udp", dport = 53 },
--          action = fault.lossy { percent = 20, seed = 1 } }
--
-- Each of these takes a table and returns an action:
--
--   fault.lossy     { percent =, burst =, seed = }
--   fault.duplicate { percent =, copies =, seed = }
--   fault.reorder   { percent =, gap =, wait =, seed = }
--   fault.lag       { seconds =, jitter =, hold =, seed = }
--   fault.throttle  { rate =, wait =, hold = }
--   fault.tamper    { percent =, checksum =, seed = }
--
-- The file of the same name says what they do. With the same seed and the
-- same packets the same happens again; without one every run is another.
--
-- What is delayed, held back or sent a second time does not meet the rules
-- behind: put them last. With offload one packet stands for several of a TCP
-- stream, and all of them are lost or late together; --no-offload takes each
-- by itself.

local fault = {}

-- ---- arguments -------------------------------------------------------------

local function wrong(name, what)
  error(("--arg %s=%s: %s"):format(name, args[name], what), 0)
end

-- The number that --arg NAME= gives.
function fault.number(name, default, least, most)
  if not args[name] then return default end
  local n = tonumber(args[name])
  if not n or n < least or n > most then
    wrong(name, ("not a number from %s to %s"):format(least, most))
  end
  return n
end

-- The same, of what can be counted.
function fault.whole(name, default, least, most)
  local n = fault.number(name, default, least, most)
  return n and (math.tointeger(n) or wrong(name, "not a whole number"))
end

-- The share that --arg percent= gives, with or without the sign.
function fault.percent(default)
  local n = args.percent and tonumber((args.percent:gsub("%%$", "")))
  if not args.percent then return default end
  if not n or n < 0 or n > 100 then wrong("percent", "not a share from 0 to 100") end
  return n
end

-- The bytes that --arg NAME= gives; k, M and G stand for thousands.
local UNITS = { [""] = 1, k = 1e3, K = 1e3, M = 1e6, G = 1e9 }
function fault.bytes(name, default)
  if not args[name] then return default end
  local n, unit = args[name]:match("^([%d.]+)([kKMG]?)$")
  n = tonumber(n)
  if not n or n <= 0 then wrong(name, "not a number of bytes, such as 1500, 64k or 2M") end
  return n * UNITS[unit]
end

-- Rules that do this to the packets that --arg dir=, proto=, dst= and dport=
-- choose. For what arrives, dst and dport are the other end as well.
function fault.rules(name, make, how)
  local dir = args.dir or "out"
  local seed = fault.whole("seed", math.random(0), math.mininteger, math.maxinteger)
  if dir ~= "out" and dir ~= "in" and dir ~= "both" then
    wrong("dir", "out, in or both")
  end
  if dir ~= "in" then
    how.seed = seed
    rule { name = name, action = make(how),
           match = { dir = "out", proto = args.proto, dst = args.dst, dport = args.dport } }
  end
  if dir ~= "out" then
    how.seed = seed + 1
    capture { dir = { "out", "in" } }
    rule { name = name .. "-in", action = make(how),
           match = { dir = "in", proto = args.proto, src = args.dst, sport = args.dport } }
  end
end

-- ---- chance and time ---------------------------------------------------------

-- A generator of its own: what other rules draw does not change its numbers.
-- Returns two functions: the next number from 0 up to 1, and one from 1 to n.
function fault.dice(seed)
  local state = seed or math.random(0)
  local function draw()
    state = state + 0x9e3779b97f4a7c15
    local z = state
    z = (z ~ z >> 30) * 0xbf58476d1ce4e5b9
    z = (z ~ z >> 27) * 0x94d049bb133111eb
    return ((z ~ z >> 31) >> 11) * 0x1p-53
  end
  return draw, function(n) return 1 + math.floor(draw() * n) end
end

-- The time of packets, which never goes back: a clock that is set does not
-- leave anything waiting.
function fault.clock()
  local last, behind = 0, 0
  return function(pkt)
    local now = pkt.time + behind
    if now < last then
      behind = behind + last - now
      now = last
    end
    last = now
    return now
  end
end

-- A line in which packets wait: they leave in the order in which they came.
-- hold: bytes that may wait; what is too much, or too many, is dropped.
local MANY = 20000
local function line(hold)
  local waiting, first, last, bytes = {}, 1, 0, 0
  local function leave()
    local pkt = waiting[first]
    if not pkt then return end
    waiting[first] = nil
    first = first + 1
    bytes = bytes - pkt.len
    send(pkt)
  end
  return function(pkt, seconds)
    if bytes + pkt.len > hold or last - first + 1 >= MANY then
      count("fault-overflow")
      return DROP
    end
    local copy = pkt:clone()
    after(seconds, leave)
    last = last + 1
    waiting[last] = copy
    bytes = bytes + copy.len
    return DROP
  end
end

local HOLD = 8e6

-- ---- the faults --------------------------------------------------------------

function fault.lossy(how)
  local draw = fault.dice(how.seed)
  local share, burst, left = (how.percent or 10) / 100, how.burst or 1, 0
  return function()
    if left == 0 and draw() < share then left = burst end
    if left == 0 then return end
    left = left - 1
    count("fault-lost")
    return DROP
  end
end

function fault.duplicate(how)
  local draw = fault.dice(how.seed)
  local share, copies = (how.percent or 10) / 100, how.copies or 1
  return function(pkt)
    if draw() >= share then return end
    count("fault-duplicated", copies)
    send(pkt, { repeats = copies - 1 })
  end
end

function fault.reorder(how)
  local draw = fault.dice(how.seed)
  local share, gap, wait = (how.percent or 10) / 100, how.gap or 1, how.wait or 0.1
  local held, left, timer
  local function release()
    local late = held
    held = nil
    send(late)
  end
  return function(pkt)
    if held then
      left = left - 1
      if left > 0 then return end
      local late = held
      held = nil
      timer:cancel()
      count("fault-reordered")
      return { pkt, late }
    end
    if draw() >= share then return end
    local copy = pkt:clone()
    timer = after(wait, release)
    held, left = copy, gap
    return DROP
  end
end

function fault.lag(how)
  local draw, clock, wait = fault.dice(how.seed), fault.clock(), line(how.hold or HOLD)
  local seconds, jitter, due = how.seconds or 0.1, how.jitter or 0, 0
  return function(pkt)
    local now = clock(pkt)
    due = math.max(due, now + seconds + jitter * draw())
    count("fault-delayed")
    return wait(pkt, due - now)
  end
end

function fault.throttle(how)
  local clock, wait = fault.clock(), line(how.hold or HOLD)
  local rate, longest, free = how.rate or 125000, how.wait or 0.5, 0
  return function(pkt)
    local now = clock(pkt)
    local start = math.max(free, now)
    if start - now > longest then
      count("fault-overflow")
      return DROP
    end
    free = start + pkt.len / rate
    return wait(pkt, free - now)
  end
end

function fault.tamper(how)
  local draw, pick = fault.dice(how.seed)
  local share, hidden = (how.percent or 10) / 100, how.checksum == "right"
  return function(pkt)
    local n = #pkt.payload
    if n == 0 or draw() >= share then return end
    local layer = pkt.tcp or pkt.udp or pkt.icmp
    local sum = not hidden and layer and layer.checksum
    local at = pick(n)
    pkt:set_u8(at, pkt:u8(at) ~ 1 << pick(8) - 1)
    count("fault-tampered")
    if not sum then return end
    layer.checksum = sum
    -- A packet that stands for several gets its checksums when it is cut: it
    -- is lost here, as it would be where a wrong one is noticed.
    if layer.checksum ~= sum then return DROP end
  end
end

return fault
