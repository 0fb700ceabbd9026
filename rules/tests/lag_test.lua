-- What lag.lua promises.

local function ping(seq, bytes)
  return packet { src = "192.0.2.2", dst = "192.0.2.1", id = seq,
                  icmp = { type = 8, id = 7, seq = seq }, payload = ("x"):rep(bytes or 4) }
end

test("a packet leaves when its time has come, as it was", function()
  local t = load_rules("../lag.lua", { delay = 0.2 })
  expect(t:feed(ping(1)).packets).is {}
  t:advance(0.1)
  expect(t:feed(ping(2)).packets).is {}
  expect(t:at(0.199).sent).is {}
  expect(t:at(0.201).sent).is { ping(1) }
  expect(t:at(0.299).sent).is {}
  expect(t:at(0.301).sent).is { ping(2) }
  expect(t:count("fault-delayed")).is(2)
end)

test("with jitter none overtakes another, and none is early or too late", function()
  local t = load_rules("../lag.lua", { delay = 0.1, jitter = 0.5, seed = 1 })
  for seq = 1, 20 do t:feed(ping(seq)) end
  expect(t:at(0.099).sent).is {}
  local seqs, early = {}, #t:at(0.3).sent
  expect(early < 20).is(true)
  for seq, p in ipairs(t:at(0.601).sent) do seqs[seq] = p.icmp.seq end
  expect(#seqs).is(20 - early)
  for i = 1, #seqs do expect(seqs[i]).is(early + i) end
end)

test("the same seed gives the same jitter", function()
  local function run(seed)
    local t, s = load_rules("../lag.lua", { delay = 0, jitter = 1, seed = seed }), ""
    t:feed(ping(1))
    for _ = 1, 100 do s = s .. #t:advance(0.01).sent end
    return s
  end
  expect(run(1)).contains("1")
  expect(run(1)).is(run(1))
  expect(run(1)).is_not(run(2))
end)

test("what is more than may wait is dropped, until there is room", function()
  local t = load_rules("../lag.lua", { delay = 1, hold = "3k" })
  for seq = 1, 4 do t:feed(ping(seq, 972)) end -- 1000 bytes each
  expect(t:count("fault-overflow")).is(1)
  expect(#t:advance(1.1).sent).is(3)
  t:feed(ping(5, 972))
  expect(t:advance(1.1).sent).is { ping(5, 972) }
  expect(t:count("fault-overflow")).is(1)
end)

test("not more than 20000 packets wait, however small they are", function()
  local t = load_rules("../lag.lua", { delay = 1 })
  for seq = 1, 20005 do t:feed(ping(seq)) end
  expect(t:count("fault-overflow")).is(5)
  expect(#t:advance(1.1).sent).is(20000)
end)

test("what arrives may be late as well", function()
  local t = load_rules("../lag.lua", { delay = 1, dir = "both" })
  expect(t:feed(ping(1), { dir = "in" }).packets).is {}
  t:advance(0.5)
  t:feed(ping(2))
  expect(t:at(1.1).sent).is { ping(1) }
  expect(t:at(1.6).sent).is { ping(2) }
end)

test("wrong arguments are said", function()
  expect(function() load_rules("../lag.lua", { delay = -1 }) end).raises("delay=-1")
  expect(function() load_rules("../lag.lua", { hold = "8Mbit" }) end).raises("hold=8Mbit")
end)
