-- What reorder.lua promises.

local function ping(seq)
  return packet { src = "192.0.2.2", dst = "192.0.2.1", icmp = { type = 8, id = 7, seq = seq }, id = seq }
end

-- The numbers of what leaves, in its order.
local function order(t, n)
  local seqs = {}
  for seq = 1, n do
    for _, p in ipairs(t:feed(ping(seq)).packets) do seqs[#seqs + 1] = p.icmp.seq end
  end
  for _, p in ipairs(t:advance(10).sent) do seqs[#seqs + 1] = p.icmp.seq end
  return seqs
end

test("a packet is overtaken by the next one", function()
  expect(order(load_rules("../reorder.lua", { percent = 100 }), 4)).is { 2, 1, 4, 3 }
end)

test("or by as many as are asked for", function()
  local t = load_rules("../reorder.lua", { percent = 100, gap = 3 })
  expect(order(t, 8)).is { 2, 3, 4, 1, 6, 7, 8, 5 }
  expect(t:count("fault-reordered")).is(2)
end)

test("where no more come it leaves after a while", function()
  local t = load_rules("../reorder.lua", { percent = 100, wait = 0.5 })
  expect(t:feed(ping(1)).packets).is {}
  expect(t:advance(0.49).sent).is {}
  expect(t:advance(0.02).sent).is { ping(1) }
  expect(t:advance(10).sent).is {}
  -- And the next one is held back, not let through behind it.
  expect(t:feed(ping(2)).packets).is {}
end)

test("a packet that was overtaken does not leave again", function()
  local t = load_rules("../reorder.lua", { percent = 100, wait = 0.5 })
  t:feed(ping(1))
  expect(t:feed(ping(2)).packets).is { ping(2), ping(1) }
  expect(t:advance(1).sent).is {}
end)

test("none is lost, and the same seed gives the same order", function()
  local function run(seed)
    return order(load_rules("../reorder.lua", { percent = 30, gap = 2, seed = seed }), 200)
  end
  local once = run(1)
  expect(run(1)).is(once)
  expect(run(2)).is_not(once)
  local seen, in_order = {}, {}
  for _, seq in ipairs(once) do seen[seq] = true end
  for seq = 1, 200 do
    in_order[seq] = seq
    expect(seen[seq]).is(true)
  end
  expect(#once).is(200)
  expect(once).is_not(in_order)
end)
