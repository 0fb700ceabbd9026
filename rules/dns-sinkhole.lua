-- dns-sinkhole.lua: answer DNS questions for some names ourselves, with one
-- address; no such question leaves this host (over UDP port 53).
--
-- Arguments:  --arg names=NAME,NAME,...   these and all below them (needed)
--             --arg to=ADDRESS            the answer to an A question (0.0.0.0)
--             --arg seconds=N             its time to live (60)
--
-- Questions of other types for these names get an empty answer.
--
-- Try it:  sluice lab rules/dns-sinkhole.lua --arg names=example.com \
--            --arg to=192.0.2.7 -- dig +short @192.0.2.53 www.example.com

local dns = require "dns"
local is_listed = dns.listed(args.names or
  error("dns-sinkhole.lua wants --arg names=NAME,...", 0))

local a, b, c, d = (args.to or "0.0.0.0"):match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
if not a then error("dns-sinkhole.lua: --arg to wants an IPv4 address", 0) end
local address = string.char(a, b, c, d)
local seconds = tonumber(args.seconds or 60)

rule {
  name   = "dns-sinkhole",
  match  = { proto = "udp", dport = 53 },
  action = function(pkt)
    local msg = pkt.payload
    local name, qtype, stop = dns.question(msg)
    if not name or not is_listed(name) then return end
    local record = { type = 1, seconds = seconds, data = address }
    return pkt:reply { payload = dns.answer(msg, stop,
                                            { qtype == 1 and record or nil }) }
  end,
}
