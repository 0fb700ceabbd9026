-- What tamper.lua promises.

local DATA = ("0123456789abcdef"):rep(8)

local function of(proto)
  local layer = { udp = { sport = 4000, dport = 53 }, icmp = { type = 8, id = 7, seq = 1 },
                  tcp = { sport = 4000, dport = 80, flags = "PA", seq = 1, ack_seq = 2, window = 9 } }
  return packet { src = "192.0.2.2", dst = "192.0.2.1", id = 1,
                  [proto] = layer[proto], payload = DATA }
end

local function different_bits(a, b)
  local n = 0
  for i = 1, #a do
    local x = a:byte(i) ~ b:byte(i)
    while x > 0 do n, x = n + (x & 1), x >> 1 end
  end
  return n
end

test("one bit of the data differs; the checksum shows it", function()
  local t = load_rules("../tamper.lua", { percent = 100, seed = 1 })
  for _, proto in ipairs { "udp", "tcp", "icmp" } do
    local p = of(proto)
    local r = t:feed(p)
    local q = r.packets[1]
    expect(r.verdict).is("ACCEPT")
    expect(#q.payload).is(#DATA)
    expect(different_bits(q.payload, DATA)).is(1)
    expect(q[proto].checksum).is(p[proto].checksum)
    -- Which is not that of these data.
    p.payload = q.payload
    expect(q[proto].checksum).is_not(p[proto].checksum)
  end
  expect(t:count("fault-tampered")).is(3)
end)

test("nothing but the data differs", function()
  local t = load_rules("../tamper.lua", { percent = 100, seed = 1 })
  local p = of("udp")
  local q = t:feed(p).packets[1]
  for i = 1, #DATA do q:set_u8(i, DATA:byte(i)) end
  q.udp.checksum = p.udp.checksum
  expect(q).is(p)
end)

test("with a right checksum only the data tells", function()
  local t = load_rules("../tamper.lua", { percent = 100, seed = 1, checksum = "right" })
  for _, proto in ipairs { "udp", "tcp", "icmp" } do
    local p = of(proto)
    local q = t:feed(p).packets[1]
    expect(different_bits(q.payload, DATA)).is(1)
    expect(q[proto].checksum).is_not(p[proto].checksum)
    -- Built from the same data it has the same checksum.
    p.payload = q.payload
    expect(q).is(p)
  end
end)

test("the same seed flips the same bits", function()
  local function run(seed)
    local t, all = load_rules("../tamper.lua", { percent = 50, seed = seed }), {}
    for i = 1, 40 do all[i] = t:feed(of("udp")).packets[1].payload end
    return table.concat(all)
  end
  expect(run(1) == run(1)).is(true)
  expect(run(1) == run(2)).is(false)
  expect(run(1) == DATA:rep(40)).is(false)
end)

test("what has no data passes as it is", function()
  local t = load_rules("../tamper.lua", { percent = 100 })
  local p = packet { dst = "192.0.2.1", tcp = { dport = 80 } }
  expect(t:feed(p).packets).is { p }
  expect(t:count("fault-tampered")).is(0)
end)

test("a checksum that is neither is refused", function()
  expect(function() load_rules("../tamper.lua", { checksum = "bad" }) end)
    .raises("--arg checksum is right or wrong")
end)
