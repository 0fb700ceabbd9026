-- What dns-sinkhole.lua promises.

local function name_bytes(name)
  return (name:gsub("([^.]+)%.?", function(label) return string.pack("s1", label) end)) .. "\0"
end

local function query(name, fields)
  local q = { id = 0x1234, flags = 0x0100, count = 1, qtype = 1 }
  for k, v in pairs(fields or {}) do q[k] = v end
  return packet {
    src = "192.0.2.2", dst = "192.0.2.53",
    udp = { sport = 4000, dport = 53 },
    payload = string.pack(">I2I2I2I2I2I2", q.id, q.flags, q.count, 0, 0, 0)
      .. name_bytes(name) .. string.pack(">I2I2", q.qtype, 1) .. (q.more or ""),
  }
end

local function rules(more)
  local args = { names = "example.com,Ads.Example.org.", to = "192.0.2.7" }
  for k, v in pairs(more or {}) do args[k] = v end
  return load_rules("../dns-sinkhole.lua", args)
end

test("an A question is answered with the address", function()
  local r = rules():feed(query("www.example.com"))
  expect(r.verdict).is("REPLACE")
  expect(#r.packets).is(1)
  expect(r.packets[1]).is {
    src = "192.0.2.53", dst = "192.0.2.2", sport = 53, dport = 4000,
    payload = hex("1234 8580 0001 0001 0000 0000")
      .. name_bytes("www.example.com") .. hex("0001 0001")
      .. hex("c00c 0001 0001 0000003c 0004 c0000207"),
  }
end)

test("the names, those below them and their capitals count; others do not", function()
  local t = rules()
  for name, listed in pairs {
    ["example.com"] = true, ["a.b.example.com"] = true,
    ["EXAMPLE.Com"] = true, ["ads.example.org"] = true,
    ["example.org"] = false, ["notexample.com"] = false,
    ["example.com.org"] = false, ["com"] = false,
  } do
    local q = query(name)
    local r = t:feed(q)
    expect(name .. " " .. r.verdict).is(name .. (listed and " REPLACE" or " ACCEPT"))
    if not listed then expect(r.packets).is { q } end
  end
end)

test("the question comes back with the capitals it had", function()
  local r = rules():feed(query("wWw.eXample.com"))
  expect(r.packets[1].payload).contains(name_bytes("wWw.eXample.com"))
end)

test("a question of another type gets an empty answer", function()
  local r = rules():feed(query("example.com", { qtype = 28 }))
  expect(r.packets[1].payload).is(hex("1234 8580 0001 0000 0000 0000")
    .. name_bytes("example.com") .. hex("001c 0001"))
end)

test("recursion is desired in the answer as in the question", function()
  local r = rules():feed(query("example.com", { flags = 0 }))
  expect(r.packets[1]:u16(3)).is(0x8480)
end)

test("what follows the question is not sent back", function()
  local opt = hex("00 0029 1000 00000000 0000")
  local plain = rules():feed(query("example.com")).packets[1].payload
  expect(rules():feed(query("example.com", { more = opt })).packets[1].payload)
    .is(plain)
end)

test("answer and time to live are the arguments'", function()
  local r = rules { to = "0.0.0.0", seconds = 300 }:feed(query("example.com"))
  expect(r.packets[1].payload:sub(-10)).is(hex("0000012c 0004 00000000"))
end)

test("what is no plain question passes", function()
  local t = rules()
  local q = query("example.com")
  local cases = {
    query("example.com", { flags = 0x8000 }), -- an answer
    query("example.com", { flags = 0x2800 }), -- an update
    query("example.com", { count = 2 }),
    query("example.com", { count = 0 }),
    query(("x"):rep(64) .. ".example.com"), -- a label has 63 at most
  }
  -- Cut off at every byte, and a name that points elsewhere.
  for n = 0, #q.payload - 1 do
    cases[#cases + 1] = q:clone()
    cases[#cases].payload = q.payload:sub(1, n)
  end
  cases[#cases + 1] = q:clone()
  cases[#cases].payload = hex("1234 0100 0001 0000 0000 0000 c00c 0001 0001")
  for _, p in ipairs(cases) do
    local r = t:feed(p)
    expect(r.error).is(nil)
    expect(r.packets).is { p }
  end
end)

test("only UDP port 53 is looked at", function()
  local q = query("example.com")
  q.dport = 5353
  expect(rules():feed(q).packets).is { q }
end)

test("wrong arguments are said", function()
  expect(function() load_rules("../dns-sinkhole.lua") end)
    .raises("dns-sinkhole.lua wants --arg names=NAME,...")
  expect(function() rules { to = "here" } end).raises("wants an IPv4 address")
end)
