-- What fake-hops.lua promises.

local function probe(ttl, fields)
  local p = { src = "192.0.2.2", dst = "198.51.100.9", ttl = ttl,
              udp = { sport = 4000, dport = 33434 }, payload = "probe" }
  for k, v in pairs(fields or {}) do p[k] = v end
  return packet(p)
end

test("probes die at routers of the list, in its order", function()
  local t = load_rules("../fake-hops.lua")
  for ttl = 1, 3 do
    local p = probe(ttl)
    local r = t:feed(p)
    expect(r.rule).is("fake-hop")
    expect(r.packets[1]).is {
      src = "192.0.2.1" .. ttl, dst = "192.0.2.2",
      icmp = { type = "time-exceeded", code = 0 },
    }
    expect(r.packets[1].icmp.inner).is { dst = "198.51.100.9", ttl = ttl,
                                         udp = { dport = 33434 } }
  end
end)

test("TCP and ICMP probes die alike", function()
  local t = load_rules("../fake-hops.lua", { hops = "10.0.0.1" })
  for _, p in ipairs {
    packet { src = "192.0.2.2", dst = "198.51.100.9", ttl = 1, tcp = { dport = 80 } },
    packet { src = "192.0.2.2", dst = "198.51.100.9", ttl = 1, icmp = { type = 8 } },
  } do
    expect(t:feed(p).packets[1]).is { src = "10.0.0.1", icmp = { type = 11 } }
  end
end)

test("the destination is one hop behind the last", function()
  local t = load_rules("../fake-hops.lua")
  local r = t:feed(probe(4))
  expect(r.rule).is("fake-end-udp")
  expect(r.packets[1]).is { src = "198.51.100.9", dst = "192.0.2.2",
                            icmp = { type = 3, code = 3 } }
  r = t:feed(packet { src = "192.0.2.2", dst = "198.51.100.9", ttl = 4,
                      icmp = { type = 8, id = 5, seq = 6 } })
  expect(r.rule).is("fake-end-ping")
  expect(r.packets[1]).is { src = "198.51.100.9", dst = "192.0.2.2",
                            icmp = { type = 0, id = 5, seq = 6 } }
end)

test("what passes loses as many hops as there are", function()
  local t = load_rules("../fake-hops.lua", { hops = "10.0.0.1,10.0.0.2" })
  local p = packet { dst = "198.51.100.9", ttl = 64, tcp = { dport = 80 } }
  local r = t:feed(p)
  expect(r.verdict).is("ACCEPT")
  expect(r.packet.ip.ttl).is(62)
  -- One more than there are hops just gets through.
  p.ip.ttl = 3
  expect(t:feed(p).packet.ip.ttl).is(1)
end)

test("what must not be answered dies silently", function()
  local t = load_rules("../fake-hops.lua")
  local err = probe(64):unreachable()
  err.ip.ttl = 1
  for _, p in ipairs { err, probe(3, { frag_offset = 100 }) } do
    local r = t:feed(p)
    expect(r.verdict).is("DROP")
    expect(r.rule).is("fake-hop")
  end
end)

test("a TTL of 0 is none that a router would have seen", function()
  local p = packet { src = "192.0.2.2", dst = "198.51.100.9", ttl = 0, tcp = { dport = 80 } }
  local r = load_rules("../fake-hops.lua"):feed(p)
  expect(r.verdict).is("ACCEPT")
  expect(r.packets).is { p }
end)

test("dst keeps it to some destinations", function()
  local t = load_rules("../fake-hops.lua", { dst = "203.0.113.0/24" })
  local p = probe(1)
  expect(t:feed(p).packets).is { p }
  expect(t:feed(probe(1, { dst = "203.0.113.1" })).rule).is("fake-hop")
end)

test("an empty list is refused", function()
  expect(function() load_rules("../fake-hops.lua", { hops = "" }) end).raises("is empty")
end)
