-- What icmp-echo.lua promises.

local function ping(fields)
  local p = packet { src = "192.0.2.2", dst = "198.51.100.1",
                     icmp = { type = "echo-request", id = 7, seq = 1 },
                     payload = "hello" }
  for name, value in pairs(fields or {}) do p.ip[name] = value end
  return p
end

test("a ping is answered, and does not leave", function()
  local t = load_rules("../icmp-echo.lua")
  local r = t:feed(ping())
  expect(r.verdict).is("REPLACE")
  expect(r.rule).is("fake-echo")
  expect(#r.packets).is(1)
  expect(r.packets[1]).is {
    src = "198.51.100.1", dst = "192.0.2.2", ttl = 64, payload = "hello",
    icmp = { type = "echo-reply", code = 0, id = 7, seq = 1 },
  }
  expect(t:hits("fake-echo")).is(1)
end)

test("the replies have the TTL that was asked for", function()
  local t = load_rules("../icmp-echo.lua", { ttl = 3 })
  expect(t:feed(ping()).packets[1].ip.ttl).is(3)
end)

test("a ping without data, and one with much, are answered alike", function()
  local t = load_rules("../icmp-echo.lua")
  for _, data in ipairs { "", ("x"):rep(1400), ("\0\255"):rep(30000) } do
    local p = ping()
    p.payload = data
    expect(t:feed(p).packets[1].payload).is(data)
  end
end)

test("what is no echo request goes its way unchanged", function()
  local t = load_rules("../icmp-echo.lua")
  for _, p in ipairs {
    packet { dst = "192.0.2.1", icmp = { type = "echo-reply", id = 7 } },
    packet { dst = "192.0.2.1", icmp = { type = 3, code = 3 } },
    packet { dst = "192.0.2.1", udp = { dport = 7 }, payload = "hello" },
    packet { dst = "192.0.2.1", tcp = { dport = 7 } },
  } do
    local r = t:feed(p)
    expect(r.verdict).is("ACCEPT")
    expect(r.rule).is(nil)
    expect(r.packets).is { p }
  end
end)

test("an ICMP error about a ping is not answered", function()
  local t = load_rules("../icmp-echo.lua")
  local err = ping():unreachable()
  expect(t:feed(err).packets).is { err }
end)

test("a ping in fragments is not answered, and does not leave whole", function()
  local t = load_rules("../icmp-echo.lua")
  local r = t:feed(ping { mf = true })
  expect(r.verdict).is("DROP")
  expect(r.rule).is("fragmented-echo")
  expect(r.error).is(nil)
  -- Of a later one nobody knows what it is a fragment of.
  local later = ping { frag_offset = 185 }
  expect(t:feed(later).packets).is { later }
end)

test("an ICMP error in fragments is no ping", function()
  local t = load_rules("../icmp-echo.lua")
  local p = packet { dst = "192.0.2.1", mf = true, icmp = { type = 3, code = 3 },
                     payload = ("x"):rep(48) }
  expect(t:feed(p).packets).is { p }
end)

test("a TTL that is none is an error that names the field", function()
  local p = ping()
  local r = load_rules("../icmp-echo.lua", { ttl = 256 }):feed(p)
  expect(r.verdict).is("ERROR")
  expect(r.error).contains("ip.ttl must be 0 to 255, not 256")
  expect(r.packets).is { p }
end)
