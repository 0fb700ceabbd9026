-- What audit.lua promises: everything is counted, nothing is changed.

test("every kind of packet passes as it is", function()
  local t = load_rules("../audit.lua")
  local packets = {
    packet { dst = "192.0.2.1", tcp = { dport = 80, mss = 1460 } },
    packet { dst = "192.0.2.1", udp = { dport = 53 }, payload = "\0\1\2" },
    packet { dst = "192.0.2.1", icmp = { type = 8 }, ttl = 1 },
    packet { dst = "224.0.0.1", proto = 2, payload = "igmp" },
    packet { dst = "192.0.2.1", udp = { dport = 53, checksum = 0xbad } },
  }
  for _, p in ipairs(packets) do
    local r = t:feed(p)
    expect(r.verdict).is("ACCEPT")
    expect(r.rule).is("audit")
    expect(r.packets).is { p }
  end
  expect(t:hits("audit")).is(#packets)
end)

test("what is no IPv4 packet passes as it is", function()
  local t = load_rules("../audit.lua")
  for _, bytes in ipairs { hex("60 00 00 00"), "x", hex("45 00 00 14") } do
    expect(t:feed(bytes).packets).is { packet(bytes) }
  end
end)

test("arrivals are not captured", function()
  local t = load_rules("../audit.lua")
  local r = t:feed(packet { dst = "192.0.2.1", udp = {} }, { dir = "in" })
  expect(r.verdict).is("PASS")
  expect(t:hits("audit")).is(0)
end)
