-- What dns-log.lua promises.

local function name_bytes(name)
  return (name:gsub("([^.]+)%.?", function(l) return string.pack("s1", l) end)) .. "\0"
end

local function query(name, id, qtype)
  return packet { src = "192.0.2.2", dst = "192.0.2.53",
                  udp = { sport = 4000, dport = 53 },
                  payload = string.pack(">I2I2I2I2I2I2", id, 0x0100, 1, 0, 0, 0)
                    .. name_bytes(name) .. string.pack(">I2I2", qtype or 1, 1) }
end

local function record(rtype, data)
  return string.pack(">I2I2I2I4s2", 0xc00c, rtype, 1, 60, data)
end

local function answer(q, flags, ...)
  return packet { src = q.dst, dst = q.src, udp = { sport = 53, dport = q.sport },
                  payload = q:bytes(1, 2)
                    .. string.pack(">I2I2I2I2I2", flags, 1, select("#", ...), 0, 0)
                    .. q:bytes(13) .. table.concat { ... } }
end

local incoming = { dir = "in" }

test("a question and its answer make one line", function()
  local t = load_rules("../dns-log.lua")
  local q = query("www.Example.com", 7)
  local r = t:feed(q)
  expect(r.packets).is { q }
  expect(#r.log).is(0)
  t:advance(0.025)
  local a = answer(q, 0x8180, record(5, "\1x\xc0\x10"), record(1, "\192\0\2\7"))
  r = t:feed(a, incoming)
  expect(r.packets).is { a }
  expect(r.log).is { "192.0.2.53 A www.example.com: x.example.com 192.0.2.7 (25.0 ms)" }
  expect(t:count("questions")).is(1)
  expect(t:count("answers")).is(1)
  expect(#t:advance(10).log).is(0)
end)

test("what an answer without records says", function()
  local t = load_rules("../dns-log.lua")
  for flags, says in pairs { [0x8183] = "NXDOMAIN", [0x8180] = "empty", [0x8182] = "SERVFAIL",
                             [0x8185] = "REFUSED", [0x818b] = "RCODE11" } do
    local q = query("a.test", 8, 28)
    t:feed(q)
    expect(t:feed(answer(q, flags), incoming).log)
      .is { "192.0.2.53 AAAA a.test: " .. says .. " (0.0 ms)" }
  end
end)

test("records of other types are told by their size, addresses as text", function()
  local t = load_rules("../dns-log.lua")
  local q = query("a.test", 9, 255)
  t:feed(q)
  local r = t:feed(answer(q, 0x8180, record(16, "\5hello"),
                          record(28, hex("20010db8 00000000 00000000 00000001"))), incoming)
  expect(r.log[1]).contains("6 bytes 2001:db8:0:0:0:0:0:1")
end)

test("what nobody answers is said", function()
  local t = load_rules("../dns-log.lua", { seconds = 2 })
  local q = query("slow.test", 10)
  t:feed(q)
  expect(#t:advance(1.9).log).is(0)
  expect(t:advance(0.2).log).is { "192.0.2.53 A slow.test: no answer" }
  expect(t:count("unanswered")).is(1)
  -- An answer that is late is not counted twice.
  expect(#t:feed(answer(q, 0x8180), incoming).log).is(0)
end)

test("a question asked again waits afresh", function()
  local t = load_rules("../dns-log.lua", { seconds = 2 })
  local q = query("slow.test", 11)
  t:feed(q)
  t:advance(1.5)
  t:feed(q)
  expect(#t:advance(1.5).log).is(0)
  expect(#t:advance(1).log).is(1)
  expect(t:count("unanswered")).is(1)
  expect(t:count("questions")).is(2)
end)

test("two questions at once do not mix, nor two clients with one id", function()
  local t = load_rules("../dns-log.lua")
  local one, two, other = query("one.test", 1), query("two.test", 2), query("other.test", 1)
  other.sport = 4001
  for _, q in ipairs { one, two, other } do t:feed(q) end
  expect(t:feed(answer(two, 0x8183), incoming).log[1]).contains("two.test: NXDOMAIN")
  expect(t:feed(answer(other, 0x8183), incoming).log[1]).contains("other.test: NXDOMAIN")
  local r = t:feed(answer(one, 0x8183), incoming)
  expect(r.log[1]).contains("one.test: NXDOMAIN")
end)

test("an odd name cannot upset a terminal", function()
  local t = load_rules("../dns-log.lua", { seconds = 1 })
  t:feed(packet { src = "192.0.2.2", dst = "192.0.2.53", udp = { sport = 4000, dport = 53 },
                  payload = hex("0001 0100 0001 0000 0000 0000") .. "\4a\27[m\0"
                    .. hex("0001 0001") })
  expect(t:advance(1).log).is { "192.0.2.53 A a\\027\\091m: no answer" }
end)

test("an answer cut off at any byte is no error", function()
  local t = load_rules("../dns-log.lua")
  local q = query("a.test", 12)
  local a = answer(q, 0x8180, record(5, "\1x\xc0\x0c"), record(28, ("x"):rep(16)))
  for n = 0, #a.payload - 1 do
    t:feed(q)
    local cut = answer(q, 0)
    cut.payload = a.payload:sub(1, n)
    local r = t:feed(cut, incoming)
    expect(r.error).is(nil)
    expect(r.packets).is { cut }
  end
end)
