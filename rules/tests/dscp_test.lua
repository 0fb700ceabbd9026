-- What dscp.lua promises.

local function udp(port, fields)
  local p = packet { src = "192.0.2.2", dst = "192.0.2.1",
                     udp = { sport = 4000, dport = port }, payload = "x" }
  for k, v in pairs(fields or {}) do p.ip[k] = v end
  return p
end

test("every packet is marked, and nothing else changes", function()
  local t = load_rules("../dscp.lua")
  for _, p in ipairs {
    udp(53), packet { dst = "192.0.2.1", tcp = { dport = 80 } },
    packet { dst = "192.0.2.1", icmp = { type = 8 } },
    packet { dst = "192.0.2.1", proto = 47, payload = "gre" },
  } do
    local r = t:feed(p)
    expect(r.verdict).is("ACCEPT")
    local want = p:clone()
    want.ip.dscp = 46
    expect(r.packets).is { want }
  end
end)

test("congestion bits and a mark that is there already stay apart", function()
  local t = load_rules("../dscp.lua", { dscp = "af41" })
  expect(t:feed(udp(53, { ecn = 3, dscp = "cs1" })).packet)
    .is { dscp = "af41", ecn = 3 }
end)

test("a number is a class as well, and 0 takes the mark off", function()
  expect(load_rules("../dscp.lua", { dscp = 63 }):feed(udp(53)).packet.ip.dscp).is(63)
  expect(load_rules("../dscp.lua", { dscp = 0 })
    :feed(udp(53, { dscp = "ef" })).packet.ip.dscp).is(0)
end)

test("port and protocol narrow it", function()
  local t = load_rules("../dscp.lua", { dport = 53, proto = "udp" })
  expect(t:feed(udp(53)).packet.ip.dscp).is(46)
  expect(t:feed(udp(54)).packet.ip.dscp).is(0)
  expect(t:feed(packet { dst = "192.0.2.1", tcp = { dport = 53 } }).packet.ip.dscp).is(0)
  expect(t:hits("dscp")).is(1)
end)

test("a class that does not exist is said while loading", function()
  expect(function() load_rules("../dscp.lua", { dscp = "af44" }) end).raises("af44")
  expect(function() load_rules("../dscp.lua", { dscp = 64 }) end).raises("64")
end)
