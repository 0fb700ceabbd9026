-- What syn-probe.lua promises.

local incoming = { dir = "in" }

local function rules(more)
  local args = { to = "198.51.100.9:80" }
  for k, v in pairs(more or {}) do args[k] = v end
  return load_rules("../syn-probe.lua", args)
end

-- The SYN that it sends, and an answer to it.
local function probe(t) return t:advance(0).sent[1] end

local function synack(syn, fields, ip)
  local tcp = { flags = "SA", sport = syn.dport, dport = syn.sport, seq = 500,
                ack_seq = syn.tcp.seq + 1 & 0xffffffff, window = 65160, mss = 1460, wscale = 9 }
  for k, v in pairs(fields or {}) do tcp[k] = v end
  local p = { src = syn.dst, dst = syn.src, ttl = 60, tcp = tcp }
  for k, v in pairs(ip or {}) do p[k] = v end
  return packet(p)
end

test("one SYN goes out, as written", function()
  local t = rules()
  local sent = t:advance(0).sent
  expect(#sent).is(1)
  expect(sent[1]).is { dst = "198.51.100.9", dport = 80, df = true,
                       tcp = { flags = "S", ack_seq = 0, mss = 1460, wscale = 7,
                               sack_permitted = true } }
end)

test("the answer is printed, compared, and nobody else's", function()
  local t = rules()
  local r = t:feed(synack(probe(t)), incoming)
  expect(r.verdict).is("ANSWER")
  expect(#r.packets).is(0)
  expect(r.error).is(nil)
  expect(#r.sent).is(0)
  expect(r.log[1]).contains("198.51.100.9:80 > ")
  expect(r.log[1]).contains("[SA]")
  expect(r.log[2]).is("198.51.100.9:80: as expected")
end)

-- What the task says after an answer, or its error.
local function outcome(args, fields, ip)
  local t = rules(args)
  local r = t:feed(synack(probe(t), fields, ip), incoming)
  return r.error or r.log[2]
end

test("what is compared, and how a difference reads", function()
  expect(outcome { expect = "flags=SA,mss=1460,ttl=60,window=65160,wscale=9" })
    .is("198.51.100.9:80: as expected")
  expect(outcome({ expect = "mss=1400,ttl=60" })).contains("mss is 1460, not 1400")
  expect(outcome({ expect = "ttl=64,window=1" }))
    .contains("ttl is 60, not 64; window is 65160, not 1")
  expect(outcome({}, { ack_seq = 1 })).contains("ack_seq is 1, not ")
  expect(outcome({}, { flags = "RA", seq = 0 })).contains("flags is RA, not SA")
  expect(outcome({ expect = "flags=RA" }, { flags = "RA", seq = 0 })).contains("as expected")
  expect(outcome({ expect = "wsacle=9" })).contains("wsacle is nil, not 9")
end)

test("an ICMP error is an answer, and none that was expected", function()
  local t = rules()
  local r = t:feed(probe(t):unreachable("admin-prohibited"), incoming)
  expect(r.verdict).is("ANSWER")
  expect(r.error).contains("198.51.100.9:80: an ICMP error")
end)

test("silence is said, in time", function()
  local t = rules { timeout = 3 }
  probe(t)
  expect(t:advance(2.9).error).is(nil)
  expect(t:advance(0.2).error).contains("198.51.100.9:80: no answer")
end)

test("a polite one ends what it began", function()
  local t = rules { close = "yes" }
  local syn = probe(t)
  local sent = t:feed(synack(syn), incoming).sent
  expect(#sent).is(1)
  expect(sent[1]).is { dst = "198.51.100.9", sport = syn.sport,
                       tcp = { flags = "R", seq = syn.tcp.seq + 1 & 0xffffffff } }
end)

test("several are asked at once", function()
  local t = rules { to = "198.51.100.9:80,198.51.100.9:443,192.0.2.1:22" }
  local sent = t:advance(0).sent
  expect(#sent).is(3)
  for i, dport in ipairs { 80, 443, 22 } do expect(sent[i].dport).is(dport) end
end)

test("without a target it does not load", function()
  expect(function() load_rules("../syn-probe.lua") end).raises("wants --arg to=ADDRESS:PORT")
end)
