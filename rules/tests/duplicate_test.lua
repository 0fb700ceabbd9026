-- What duplicate.lua promises.

local function ping(seq)
  return packet { src = "192.0.2.2", dst = "192.0.2.1",
                  icmp = { type = 8, id = 7, seq = seq }, payload = "data", id = seq }
end

test("a packet goes on, and once more", function()
  local t = load_rules("../duplicate.lua", { percent = 100 })
  local p = ping(1)
  local r = t:feed(p)
  expect(r.packets).is { p }
  expect(r.sent).is { p }
  expect(t:count("fault-duplicated")).is(1)
end)

test("as many copies as are asked for", function()
  local r = load_rules("../duplicate.lua", { percent = 100, copies = 3 }):feed(ping(1))
  expect(#r.packets).is(1)
  expect(r.sent).is { ping(1), ping(1), ping(1) }
end)

test("the same seed chooses the same packets", function()
  local function chosen(seed)
    local t, s = load_rules("../duplicate.lua", { percent = 50, seed = seed }), ""
    for seq = 1, 60 do s = s .. #t:feed(ping(seq)).sent end
    return s
  end
  local once = chosen(3)
  expect(once).contains("1")
  expect(once).contains("0")
  expect(chosen(3)).is(once)
  expect(chosen(4)).is_not(once)
end)

test("what is changed before it is changed in the copy", function()
  local t = load_rules({ "../ttl.lua", "../duplicate.lua" }, { ttl = 5, percent = 100 })
  local r = t:feed(ping(1))
  expect(r.packets[1].ip.ttl).is(5)
  expect(r.sent[1].ip.ttl).is(5)
end)
