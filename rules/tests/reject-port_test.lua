-- What reject-port.lua promises.

local function to(port, proto, fields)
  local layer = { sport = 4000, dport = port }
  for k, v in pairs(fields or {}) do layer[k] = v end
  return packet { src = "192.0.2.2", dst = "192.0.2.1", [proto] = layer }
end

test("a SYN is answered by the RST of a closed port", function()
  local r = load_rules("../reject-port.lua"):feed(to(25, "tcp", { seq = 1000 }))
  expect(r.verdict).is("REJECT")
  expect(#r.packets).is(1)
  expect(r.packets[1]).is {
    src = "192.0.2.1", dst = "192.0.2.2", sport = 25, dport = 4000,
    tcp = { flags = "RA", seq = 0, ack_seq = 1001 },
  }
end)

test("a segment that acknowledges something gets a RST in its place", function()
  local r = load_rules("../reject-port.lua")
    :feed(to(25, "tcp", { flags = "A", seq = 1000, ack_seq = 77 }))
  expect(r.packets[1].tcp).is_not(nil)
  expect(r.packets[1]).is { tcp = { flags = "R", seq = 77 } }
end)

test("a RST is dropped, never answered", function()
  local r = load_rules("../reject-port.lua"):feed(to(25, "tcp", { flags = "R" }))
  expect(r.verdict).is("REJECT")
  expect(#r.packets).is(0)
end)

test("UDP gets port unreachable", function()
  local r = load_rules("../reject-port.lua"):feed(to(25, "udp"))
  expect(r.packets[1]).is { src = "192.0.2.1", dst = "192.0.2.2",
                            icmp = { type = 3, code = "port-unreachable" } }
end)

test("25 is the default, and no port beside it", function()
  local t = load_rules("../reject-port.lua")
  expect(t:feed(to(24, "tcp")).verdict).is("ACCEPT")
  expect(t:feed(to(25, "tcp")).verdict).is("REJECT")
  expect(t:feed(to(26, "tcp")).verdict).is("ACCEPT")
end)

test("a range begins and ends where it says", function()
  local t = load_rules("../reject-port.lua", { port = "6000-6063" })
  for port, verdict in pairs { [5999] = "ACCEPT", [6000] = "REJECT",
                               [6063] = "REJECT", [6064] = "ACCEPT" } do
    expect(t:feed(to(port, "tcp")).verdict).is(verdict)
  end
end)

test("a protocol alone can be refused", function()
  local t = load_rules("../reject-port.lua", { proto = "udp", port = 53 })
  expect(t:feed(to(53, "udp")).verdict).is("REJECT")
  expect(t:feed(to(53, "tcp")).verdict).is("ACCEPT")
end)

test("the source port does not count", function()
  local p = packet { dst = "192.0.2.1", tcp = { sport = 25, dport = 4000 } }
  expect(load_rules("../reject-port.lua"):feed(p).packets).is { p }
end)
