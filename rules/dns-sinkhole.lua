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

local names = {}
for name in (args.names or error("dns-sinkhole.lua wants --arg names=NAME,...", 0)):gmatch("[^,%s]+") do
  names[name:lower():gsub("%.$", "")] = true
end

local a, b, c, d = (args.to or "0.0.0.0"):match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
if not a then error("dns-sinkhole.lua: --arg to wants an IPv4 address", 0) end
local address = string.char(a, b, c, d)
local seconds = tonumber(args.seconds or 60)

-- The first question of a DNS message (RFC 1035, 4.1.2): its name, its type,
-- and where it ends; nil for what is no plain question.
local function question(msg)
  if #msg < 17 then return nil end
  local _, flags, count = string.unpack(">I2I2I2", msg)
  if flags & 0xf800 ~= 0 or count ~= 1 then return nil end
  local labels, at = {}, 13
  while true do
    local n = msg:byte(at)
    if not n or n > 63 or at + n + 4 > #msg then return nil end
    if n == 0 then break end
    labels[#labels + 1] = msg:sub(at + 1, at + n)
    at = at + n + 1
  end
  local qtype = string.unpack(">I2", msg, at + 1)
  return table.concat(labels, "."):lower(), qtype, at + 4
end

local function is_listed(name)
  while name do
    if names[name] then return true end
    name = name:match("%.(.+)$")
  end
  return false
end

rule {
  name   = "dns-sinkhole",
  match  = { proto = "udp", dport = 53 },
  action = function(pkt)
    local msg = pkt.payload
    local name, qtype, stop = question(msg)
    if not name or not is_listed(name) then return end
    local id, flags = string.unpack(">I2I2", msg)
    local answers = qtype == 1 and 1 or 0
    -- Response, authoritative, recursion desired as asked and available.
    local reply = string.pack(">I2I2I2I2I2I2", id, 0x8480 | flags & 0x0100,
                              1, answers, 0, 0) .. msg:sub(13, stop)
    if answers == 1 then
      -- The name is the question's: a pointer to byte 12.
      reply = reply .. string.pack(">I2I2I2I4s2", 0xc00c, 1, 1, seconds, address)
    end
    return pkt:reply { payload = reply }
  end,
}
