-- dns.lua: a module for rules that read DNS messages (RFC 1035) and make up
-- answers; it has no rules itself.
--
--   local dns = require "dns"
--   dns.listed(text)              a function that says whether a name is one
--                                 of "NAME,NAME,..." or below one of them
--   dns.question(msg)             the one question: its name in small letters
--                                 without a dot at the end, its type, and
--                                 where it ends; nil: this asks nothing
--   dns.answer(msg, stop, { rcode =, ... })
--                                 an answer to that question; in the table
--                                 records, each { type =, seconds =, data = }
--   dns.response(msg)             name, type, rcode, and a list of records of
--                                 an answer: { type =, seconds =, data = }
--   dns.type(n), dns.rcode(n)     names for people
--
-- Used by dns-sinkhole.lua, dns-block.lua and dns-log.lua.

local dns = {}

local types = {
  [1] = "A", [2] = "NS", [5] = "CNAME", [6] = "SOA", [12] = "PTR",
  [15] = "MX", [16] = "TXT", [28] = "AAAA", [33] = "SRV", [64] = "SVCB",
  [65] = "HTTPS", [255] = "ANY",
}
local rcodes = {
  [0] = "NOERROR", [1] = "FORMERR", [2] = "SERVFAIL", [3] = "NXDOMAIN",
  [4] = "NOTIMP", [5] = "REFUSED",
}

function dns.type(n) return types[n] or "TYPE" .. n end
function dns.rcode(n) return rcodes[n] or "RCODE" .. n end

function dns.listed(text)
  local names = {}
  for name in text:gmatch("[^,%s]+") do
    names[name:lower():gsub("%.$", "")] = true
  end
  return function(name)
    while name do
      if names[name] then return true end
      name = name:match("%.(.+)$")
    end
    return false
  end
end

-- In a label any byte may stand: in a log they must not upset a terminal.
local function escape(c) return ("\\%03d"):format(c:byte()) end

-- The name at byte at, and where it ends; nil: there is none. A pointer leads
-- to an earlier byte only, so this ends.
local function read_name(msg, at)
  local labels, stop, before = {}, nil, at
  while true do
    local n = msg:byte(at)
    if not n then return nil end
    if n >= 0xc0 then
      if at >= #msg then return nil end
      local to = (string.unpack(">I2", msg, at) & 0x3fff) + 1
      if to >= before then return nil end
      stop, at, before = stop or at + 2, to, to
    elseif n > 63 or at + n > #msg then
      return nil
    elseif n == 0 then
      break
    else
      labels[#labels + 1] = msg:sub(at + 1, at + n):gsub("[^%w_-]", escape)
      at = at + n + 1
    end
  end
  return table.concat(labels, "."):lower(), stop or at + 1
end

-- Header, name and type of a message with one question; qr: the bit that
-- tells an answer from a question.
local function begin(msg, qr)
  if #msg < 17 then return nil end
  local _, flags, count = string.unpack(">I2I2I2", msg)
  if flags & 0xf800 ~= qr or count ~= 1 then return nil end
  local name, at = read_name(msg, 13)
  if not name or at + 3 > #msg then return nil end
  return name, string.unpack(">I2", msg, at), at + 3, flags
end

function dns.question(msg)
  local name, qtype, stop = begin(msg, 0)
  return name, qtype, stop
end

function dns.answer(msg, stop, answer)
  local id, flags = string.unpack(">I2I2", msg)
  -- Response, authoritative, recursion desired as asked and available.
  local parts = {
    string.pack(">I2I2I2I2I2I2", id,
                0x8480 | flags & 0x0100 | (answer.rcode or 0), 1, #answer, 0, 0),
    msg:sub(13, stop),
  }
  for _, r in ipairs(answer) do
    -- The name is the question's: a pointer to byte 12.
    parts[#parts + 1] = string.pack(">I2I2I2I4s2", 0xc00c, r.type, 1,
                                    r.seconds, r.data)
  end
  return table.concat(parts)
end

-- What a record says, for people: addresses and names as text.
local function data_text(msg, rtype, at, n)
  if rtype == 1 and n == 4 then
    return ("%d.%d.%d.%d"):format(msg:byte(at, at + 3))
  elseif rtype == 28 and n == 16 then
    return ("%x:%x:%x:%x:%x:%x:%x:%x"):format(
      string.unpack(">I2I2I2I2I2I2I2I2", msg, at))
  elseif rtype == 2 or rtype == 5 or rtype == 12 then
    return read_name(msg, at) or "?"
  end
  return n .. " bytes"
end

function dns.response(msg)
  local name, qtype, stop, flags = begin(msg, 0x8000)
  if not name then return nil end
  local list, at = {}, stop + 1
  for _ = 1, string.unpack(">I2", msg, 7) do
    local _, next_at = read_name(msg, at)
    if not next_at or next_at + 9 > #msg then break end
    local rtype, _, seconds, n = string.unpack(">I2I2I4I2", msg, next_at)
    at = next_at + 10
    if at + n - 1 > #msg then break end
    list[#list + 1] = { type = rtype, seconds = seconds,
                        data = data_text(msg, rtype, at, n) }
    at = at + n
  end
  return name, qtype, flags & 15, list
end

return dns
