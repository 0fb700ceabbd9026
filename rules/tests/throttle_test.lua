-- What throttle.lua promises.

local function udp(n, bytes)
  return packet { src = "192.0.2.2", dst = "192.0.2.1", udp = { sport = 4000, dport = n },
                  id = n, payload = ("x"):rep(bytes - 28) }
end

test("packets leave one behind the other, at the rate", function()
  local t = load_rules("../throttle.lua", { rate = 1000, wait = 10 })
  for n = 1, 3 do expect(t:feed(udp(n, 500)).packets).is {} end
  expect(t:at(0.49).sent).is {}
  expect(t:at(0.51).sent).is { udp(1, 500) }
  expect(t:at(0.99).sent).is {}
  expect(t:at(1.01).sent).is { udp(2, 500) }
  expect(t:at(1.51).sent).is { udp(3, 500) }
end)

test("a pause is not saved up", function()
  local t = load_rules("../throttle.lua", { rate = 1000, wait = 10 })
  t:advance(100)
  for n = 1, 3 do t:feed(udp(n, 1000)) end
  expect(#t:at(101.01).sent).is(1)
  expect(#t:at(102.01).sent).is(1)
end)

test("what would wait too long is dropped, and takes none of the rate", function()
  local t = load_rules("../throttle.lua", { rate = 1000, wait = 1 })
  for n = 1, 5 do t:feed(udp(n, 500)) end
  expect(t:count("fault-overflow")).is(2)
  expect(t:at(1.51).sent).is { udp(1, 500), udp(2, 500), udp(3, 500) }
  t:feed(udp(6, 500))
  expect(t:at(2.02).sent).is { udp(6, 500) }
end)

test("in the long run no more than the rate passes", function()
  local t = load_rules("../throttle.lua", { rate = "100k" })
  local bytes = 0
  for n = 1, 2000 do
    for _, p in ipairs(t:feed(udp(n, 1000)).sent) do bytes = bytes + p.len end
    for _, p in ipairs(t:advance(0.001).sent) do bytes = bytes + p.len end
  end
  expect(bytes).near(200000, 1000)
end)

test("wrong arguments are said", function()
  expect(function() load_rules("../throttle.lua", { rate = "fast" }) end).raises("rate=fast")
  expect(function() load_rules("../throttle.lua", { rate = 0 }) end).raises("rate=0")
end)
