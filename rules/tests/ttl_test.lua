-- What ttl.lua promises.

test("every packet leaves with the TTL, and nothing else changes", function()
  local t = load_rules("../ttl.lua", { ttl = 5 })
  for _, ttl in ipairs { 0, 1, 4, 5, 6, 64, 255 } do
    local p = packet { dst = "192.0.2.1", ttl = ttl, udp = { dport = 53 } }
    local r = t:feed(p)
    expect(r.verdict).is("ACCEPT")
    p.ip.ttl = 5
    expect(r.packets).is { p }
  end
end)

test("64 is the default", function()
  local p = packet { dst = "192.0.2.1", ttl = 1, icmp = { type = 8 } }
  expect(load_rules("../ttl.lua"):feed(p).packet.ip.ttl).is(64)
end)

test("fragments too, for they have an IP header", function()
  local p = packet { dst = "192.0.2.1", ttl = 9, udp = { dport = 53 },
                     frag_offset = 100 }
  expect(load_rules("../ttl.lua"):feed(p).packet.ip.ttl).is(64)
end)

test("a checksum that was wrong is not hidden", function()
  local p = packet { dst = "192.0.2.1", ttl = 9, udp = {},
                     ip = { checksum = 0x1234 } }
  local before = p.ip.checksum
  local after = load_rules("../ttl.lua"):feed(p).packet
  after.ip.ttl = 9
  expect(after.ip.checksum).is(before)
end)

test("a TTL that is none is said while loading", function()
  expect(function() load_rules("../ttl.lua", { ttl = 256 }) end).raises("256")
end)
