-- What rate-limit.lua promises.

local function to(dst, port)
  return packet { src = "192.0.2.2", dst = dst, udp = { sport = 4000, dport = port or 53 } }
end

-- How many of n packets pass.
local function pass(t, n, dst)
  local passed = 0
  for _ = 1, n do
    if t:feed(to(dst or "192.0.2.1")).verdict == "ACCEPT" then passed = passed + 1 end
  end
  return passed
end

test("a burst passes, what is more does not", function()
  local t = load_rules("../rate-limit.lua", { rate = 1, burst = 5 })
  expect(pass(t, 9)).is(5)
  expect(t:count("rate-limited")).is(4)
end)

test("tokens come back at the rate, and no more than the bucket holds", function()
  local t = load_rules("../rate-limit.lua", { rate = 2, burst = 5 })
  pass(t, 5)
  t:advance(0.4)
  expect(pass(t, 9)).is(0)
  t:advance(1.2)
  expect(pass(t, 9)).is(3)
  t:advance(1000)
  expect(pass(t, 9)).is(5)
end)

test("in the long run the rate passes", function()
  local t = load_rules("../rate-limit.lua", { rate = 10, burst = 2 })
  local passed = 0
  for _ = 1, 2000 do
    t:advance(0.01)
    passed = passed + pass(t, 1)
  end
  expect(passed).near(200, 2)
end)

test("each destination has its own bucket", function()
  local t = load_rules("../rate-limit.lua", { rate = 1, burst = 3 })
  expect(pass(t, 5, "192.0.2.1")).is(3)
  expect(pass(t, 5, "192.0.2.9")).is(3)
  expect(pass(t, 5, "192.0.2.1")).is(0)
end)

test("many destinations are forgotten, but not those of late", function()
  local t = load_rules("../rate-limit.lua", { rate = 0, burst = 1 })
  pass(t, 1, "198.51.100.1")
  for i = 0, 10099 do
    t:feed(to(("10.0.%d.%d"):format(i // 256, i % 256)))
    if i == 9990 then expect(pass(t, 1, "198.51.100.1")).is(0) end
  end
  expect(pass(t, 1, "198.51.100.1")).is(0)
  for i = 0, 20000 do t:feed(to(("10.1.%d.%d"):format(i // 256, i % 256))) end
  expect(pass(t, 1, "198.51.100.1")).is(1)
end)

test("only what is chosen is counted", function()
  local t = load_rules("../rate-limit.lua", { rate = 1, burst = 1, proto = "udp", dport = 53 })
  for _ = 1, 3 do expect(t:feed(to("192.0.2.1", 54)).verdict).is("ACCEPT") end
  expect(pass(t, 2)).is(1)
end)

test("wrong arguments are said", function()
  expect(function() load_rules("../rate-limit.lua", { rate = "-1" }) end).raises("rate=-1")
  expect(function() load_rules("../rate-limit.lua", { burst = 0 }) end).raises("burst=0")
end)
