-- ping-forward.lua: pings to a prefix are sent on as our own: a new request
-- with an id of ours goes out, and what answers it comes back to the one who
-- asked, as if nothing had happened. Errors about it come back as well.
--
-- Arguments:  --arg prefix=PREFIX    pings to these (needed)
--             --arg to=ADDRESS       where they really go (where they were
--                                    going)
--             --arg seconds=N        how long an answer is waited for (5)
--
-- The counters forwarded, answered and lost say what became of them. An answer
-- that comes too late finds nobody any more, and goes to the kernel as it is.
--
-- Try it:  sudo sluice run rules/ping-forward.lua --arg prefix=203.0.113.0/24 \
--            --arg to=192.0.2.1 -- ping -c 3 203.0.113.7

capture { dir = "in" }

local prefix  = args.prefix or error("ping-forward.lua wants --arg prefix=PREFIX", 0)
local seconds = tonumber(args.seconds or 5)

-- What waits, by the destination, id and number of our request.
local waiting = {}

local function key(dst, id, seq) return dst .. " " .. id .. " " .. seq end

-- An id for what one ping sends; its requests keep their numbers.
local last_id = math.random(0, 0xffff)
local function new_id()
  last_id = last_id + 1 & 0xffff
  return last_id
end

rule {
  name   = "ping-forward",
  match  = { dir = "out", proto = "icmp", icmp_type = "echo-request",
             dst = prefix, fragment = false },
  action = function(pkt)
    local data, dst, seq = pkt.flow.data, args.to or pkt.dst, pkt.icmp.seq
    data.id = data.id or new_id()
    local k = key(dst, data.id, seq)
    if waiting[k] then waiting[k].timer:cancel() end
    waiting[k] = {
      asked = pkt:clone(),
      timer = after(seconds, function()
        waiting[k] = nil
        count("lost")
      end),
    }
    count("forwarded")
    return packet { dst = dst, ttl = pkt.ip.ttl, dscp = pkt.ip.dscp,
                    icmp = { type = "echo-request", id = data.id, seq = seq },
                    payload = pkt.payload }
  end,
}

-- The request that this answers, which then waits no more.
local function asked(dst, icmp)
  local k = key(dst, icmp.id, icmp.seq)
  local w = waiting[k]
  if not w then return nil end
  waiting[k] = nil
  w.timer:cancel()
  return w.asked
end

rule {
  name   = "ping-forward-answer",
  match  = { dir = "in", proto = "icmp", icmp_type = "echo-reply", fragment = false },
  action = function(pkt)
    local request = asked(pkt.src, pkt.icmp)
    if not request then return end
    count("answered")
    pkt.src, pkt.dst, pkt.icmp.id = request.dst, request.src, request.icmp.id
    return ACCEPT
  end,
}

rule {
  name   = "ping-forward-error",
  match  = { dir = "in", proto = "icmp",
             icmp_type = { "destination-unreachable", "time-exceeded" } },
  action = function(pkt)
    local inner = pkt.icmp.inner
    if not inner or not inner.icmp or inner.icmp.type ~= 8 then return end
    local request = asked(inner.dst, inner.icmp)
    if not request then return end
    count("errors")
    local from = pkt.src
    -- Ours was nowhere else than where theirs was going.
    if from == inner.dst then from = request.dst end
    if pkt.icmp.type == 11 then
      return request:time_exceeded { from = from, code = pkt.icmp.code }
    end
    return request:unreachable { from = from, code = pkt.icmp.code }
  end,
}
