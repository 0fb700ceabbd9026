-- What dns-block.lua promises.

local function message(name, fields)
  local q = { flags = 0x0100, count = 1, qtype = 1 }
  for k, v in pairs(fields or {}) do q[k] = v end
  return string.pack(">I2I2I2I2I2I2", 0x1234, q.flags, q.count, 0, 0, 0)
    .. name:gsub("([^.]+)%.?", function(l) return string.pack("s1", l) end)
    .. "\0" .. string.pack(">I2I2", q.qtype, 1) .. (q.more or "")
end

local function query(name, fields)
  return packet { src = "192.0.2.2", dst = "192.0.2.53",
                  udp = { sport = 4000, dport = 53 },
                  payload = message(name, fields) }
end

local function rules() return load_rules("../dns-block.lua", { names = "ads.example,x.test" }) end

test("a listed name does not exist", function()
  local r = rules():feed(query("www.ads.example"))
  expect(r.verdict).is("REPLACE")
  expect(#r.packets).is(1)
  expect(r.packets[1]).is {
    src = "192.0.2.53", dst = "192.0.2.2", sport = 53, dport = 4000,
    payload = hex("1234 8583 0001 0000 0000 0000")
      .. message("www.ads.example"):sub(13),
  }
end)

test("whatever type is asked for", function()
  local t = rules()
  for _, qtype in ipairs { 1, 15, 28, 65, 255 } do
    local r = t:feed(query("x.test", { qtype = qtype, more = hex("00 0029 1000 00000000 0000") }))
    expect(r.packets[1].payload).is(
      hex("1234 8583 0001 0000 0000 0000") .. message("x.test", { qtype = qtype }):sub(13))
  end
end)

test("other names pass, and what is no question", function()
  local t = rules()
  for _, p in ipairs {
    query("example"), query("notads.example"), query("ads.example.org"),
    query("ads.example", { flags = 0x8180 }), query("ads.example", { flags = 0x2800 }),
    query("ads.example", { count = 0 }), query("ads.example", { count = 2 }),
    packet { dst = "192.0.2.53", udp = { dport = 53 }, payload = "" },
    packet { dst = "192.0.2.53", udp = { dport = 53 }, payload = ("\255"):rep(40) },
    packet { dst = "192.0.2.53", udp = { dport = 5353 }, payload = message("ads.example") },
  } do
    local r = t:feed(p)
    expect(r.verdict).is("ACCEPT")
    expect(r.packets).is { p }
  end
end)

test("a question cut off at any byte is no error", function()
  local t, whole = rules(), message("ads.example")
  for n = 0, #whole - 1 do
    local r = t:feed(packet { dst = "192.0.2.53", udp = { dport = 53 }, payload = whole:sub(1, n) })
    expect(r.error).is(nil)
    expect(r.verdict).is("ACCEPT")
  end
end)

test("a name that points to itself ends", function()
  local t = rules()
  for _, name in ipairs { "\xc0\x0c", "\3ads\xc0\x0c", "\xc0\xff", "\xff\xff", "\x40" } do
    local msg = hex("1234 0100 0001 0000 0000 0000") .. name .. hex("0001 0001 00000000")
    local p = packet { dst = "192.0.2.53", udp = { dport = 53 }, payload = msg }
    local r = t:feed(p)
    expect(r.error).is(nil)
    expect(r.packets).is { p }
  end
end)

test("over TCP the connection is refused at the question", function()
  local t = rules()
  local function over_tcp(name)
    return packet { src = "192.0.2.2", dst = "192.0.2.53",
                    tcp = { sport = 4000, dport = 53, flags = "PA", seq = 1, ack_seq = 77 },
                    payload = string.pack(">s2", message(name)) }
  end
  local r = t:feed(over_tcp("ads.example"))
  expect(r.verdict).is("REJECT")
  expect(r.packets[1]).is { dst = "192.0.2.2", tcp = { flags = "R", seq = 77 } }
  expect(t:feed(over_tcp("good.example")).verdict).is("ACCEPT")
end)

test("without names it does not load", function()
  expect(function() load_rules("../dns-block.lua") end)
    .raises("dns-block.lua wants --arg names=NAME,...")
end)
