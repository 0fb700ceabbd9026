-- quota.lua: so many bytes, sent and received together; what comes after them
-- is refused.
--
-- Arguments:  --arg bytes=N         how many; 500k, 10M, 2G (needed)
--             --arg per=host        for each other host (for all together)
--             --arg seconds=N       and as many again after so long (never)
--             --arg proto=, dst=    only this protocol, with these hosts (all)
--
-- Try it:  sudo sluice run rules/quota.lua --arg bytes=1k -- \
--            ping -c 20 -i 0.2 192.0.2.1

local fault = require "fault"

local most    = fault.bytes("bytes") or error("quota.lua wants --arg bytes=N", 0)
local seconds = fault.number("seconds", nil, 1, 1e9)
if args.per and args.per ~= "host" then error("quota.lua: --arg per is host", 0) end

-- What is left; a host that is not here has used nothing. More hosts than can
-- be remembered share one quota.
local MANY = 10000
local used, hosts = {}, 0
local clock, start = fault.clock(), nil

local function account(host)
  if not args.per then return "all" end
  if used[host] then return host end
  if hosts == MANY then return "others" end
  hosts = hosts + 1
  return host
end

-- True: it is within the quota, and counted.
local function within(pkt, host)
  local now = clock(pkt)
  start = start or now
  if seconds and now - start >= seconds then
    start = now - (now - start) % seconds
    used, hosts = {}, 0
  end
  local a = account(host)
  local sum = (used[a] or 0) + pkt.len
  if sum > most then
    count("over-quota")
    used[a] = used[a] or 0
    return false
  end
  used[a] = sum
  return true
end

capture { dir = { "out", "in" } }

rule {
  name   = "quota",
  match  = { dir = "out", proto = args.proto, dst = args.dst },
  action = function(pkt)
    if not within(pkt, pkt.dst) then return reject("admin-prohibited") end
  end,
}

rule {
  name   = "quota-in",
  match  = { dir = "in", proto = args.proto, src = args.dst },
  action = function(pkt)
    if not within(pkt, pkt.src) then return DROP end
  end,
}
