-- Every way in which a test can fail; tests/reports.sh compares what is said
-- with failing_test.tap.
local t = load_text([[
  rule { name = "ttl", match = { proto = "udp" }, rewrite = { ttl = 3 } }
  rule { name = "mine", match = { dport = 9 },
         action = function(pkt) error("on purpose") end }
  rule { name = "made", match = { dport = 10 },
         action = function(pkt) return { pkt:reply { payload = "pong" } } end }
]])

local function udp(port)
  return packet { src = "192.0.2.2", dst = "192.0.2.1", id = 1,
                  udp = { sport = 4000, dport = port }, payload = "ping" }
end

log("written by the test file")

test("values", function()
  expect(t:feed(udp(53)).verdict).is("DROP")
end)
test("a nil", function() expect(t:feed(udp(53)).rule).is("ttl") end)
test("bytes", function()
  expect(udp(53).payload).is("p\0ng")
end)
test("long texts", function()
  expect(("x"):rep(100)).is(("x"):rep(90) .. "y")
end)
test("packets", function()
  local p = udp(53)
  p.payload = "pink"
  expect(t:feed(udp(53)).packet).is(p)
end)
test("packets of other kinds", function()
  expect(udp(53)).is(packet { src = "192.0.2.2", dst = "192.0.2.1", id = 1,
    icmp = { type = 8, id = 1, seq = 2 } })
end)
test("fields", function()
  expect(t:feed(udp(53)).packet).is {
    src = "192.0.2.3", ttl = 64, dscp = "ef", payload = "pong",
    udp = { dport = 54 }, tcp = { flags = "S" },
  }
end)
test("a list of packets", function()
  expect(t:feed(udp(10)).packets).is { { src = "192.0.2.1" }, udp(1) }
end)
test("an item of it", function()
  expect(t:feed(udp(10)).packets).is { { payload = "ping" } }
end)
test("tables", function()
  expect({ 1, 2, { a = "x\0" } }).is { 1, 2, { a = "y" } }
end)
test("an item too few", function() expect({ 1 }).is { 1, 2 } end)
test("not", function() expect(3).is_not(3) end)
test("contains, a text", function() expect("hello").contains("world") end)
test("contains, a list", function() expect({ 1, 2 }).contains(3) end)
test("near", function() expect(1.5).near(1, 0.1) end)
test("raises nothing", function() expect(function() end).raises("x") end)
test("raises another", function()
  expect(function() error("this", 0) end).raises("that")
end)
test("the rule failed", function()
  expect(t:feed(udp(9)).verdict).is("ACCEPT")
end)
test("caught", function()
  pcall(function() expect(1).is(2) end)
  expect(1).is(1)
end)
test("nothing expected", function() t:feed(udp(53)) end)
test("half an expectation", function() expect(1); expect(1).is(1) end)
test("a name that is none", function() expect(t:feed(udp(53)).verdct).is(1) end)
test("a word that is none", function() expect(1).equals(1) end)
test("a field that is none", function() expect(udp(53)).is { tttl = 3 } end)
test("a direction that is none", function() t:feed(udp(53), { dir = "inn" }) end)
test("a rule that is none", function() expect(t:hits("mien")).is(0) end)
test("backwards in time", function() t:at(5) t:at(4) end)
test("an error", function() local x = nil; x.y = 1 end)
test("an endless loop", function() while true do end end)
test("endless, and caught", function() pcall(function() while true do end end) end)
test("global", function() oops = 1 end)
test("# control\\ characters", function() expect("a").is("\27[31m\n") end)
test("and one that passes", function() expect(t:now()).is(5) end)
