-- dns-log.lua: a line for every DNS question of this host: what was asked, of
-- whom, what came back, and after how long. Nothing is changed. UDP only.
--
--   192.0.2.53 A www.example.com: 192.0.2.7 (12.3 ms)
--   192.0.2.53 A www.exmaple.com: NXDOMAIN (9.8 ms)
--   192.0.2.53 A www.example.com: no answer
--
-- Arguments:  --arg seconds=N   how long an answer is waited for (5)
--
-- Lines come at the rate of log(): bursts of 20, then 5 a second; the counters
-- questions, answers and unanswered have them all.
--
-- Try it:  sudo sluice run rules/dns-log.lua -- dig @192.0.2.53 www.example.com

capture { dir = "in" }

local dns = require "dns"
local seconds = tonumber(args.seconds or 5)

rule {
  name   = "dns-question",
  match  = { dir = "out", proto = "udp", dport = 53 },
  action = function(pkt)
    local name, qtype = dns.question(pkt.payload)
    if not name then return end
    -- In the flow's data, by the message's id: what waits for its answer.
    local waiting, id = pkt.flow.data, pkt:u16(1)
    local text = pkt.dst .. " " .. dns.type(qtype) .. " " .. name
    count("questions")
    if waiting[id] then waiting[id].timer:cancel() end    -- asked once more
    waiting[id] = {
      text = text, time = pkt.time,
      timer = after(seconds, function()
        waiting[id] = nil
        count("unanswered")
        log(text .. ": no answer")
      end),
    }
  end,
}

rule {
  name   = "dns-answer",
  match  = { dir = "in", proto = "udp", sport = 53 },
  action = function(pkt)
    local name, _, rcode, records = dns.response(pkt.payload)
    if not name then return end
    local waiting, id = pkt.flow.data, pkt:u16(1)
    local q = waiting[id]
    if not q then return end                              -- unasked, or late
    waiting[id] = nil
    q.timer:cancel()
    count("answers")
    local said = {}
    for i, r in ipairs(records) do said[i] = r.data end
    if #said == 0 then said[1] = rcode == 0 and "empty" or dns.rcode(rcode) end
    log(("%s: %s (%.1f ms)"):format(q.text, table.concat(said, " "),
                                    (pkt.time - q.time) * 1000))
  end,
}
