-- What quota.lua promises.

local HERE = "192.0.2.2"

-- 100 bytes each.
local function out(dst)
  return packet { src = HERE, dst = dst or "192.0.2.1", udp = { dport = 53 }, payload = ("x"):rep(72) }
end
local function back(src)
  return packet { src = src or "192.0.2.1", dst = HERE, udp = { sport = 53 }, payload = ("x"):rep(72) }
end

test("what is within it passes, to the byte; what is beyond is refused", function()
  local t = load_rules("../quota.lua", { bytes = 300 })
  for _ = 1, 3 do
    local p = out()
    expect(t:feed(p).packets).is { p }
  end
  local r = t:feed(out())
  expect(r.verdict).is("REJECT")
  expect(r.rule).is("quota")
  expect(r.packets[1]).is { dst = HERE, icmp = { type = 3, code = "admin-prohibited" } }
  expect(t:count("over-quota")).is(1)
end)

test("what arrives counts as well, and is dropped", function()
  local t = load_rules("../quota.lua", { bytes = "0.2k" })
  expect(t:feed(out()).verdict).is("ACCEPT")
  expect(t:feed(back(), { dir = "in" }).verdict).is("ACCEPT")
  expect(t:feed(back(), { dir = "in" }).verdict).is("DROP")
  expect(t:feed(out()).verdict).is("REJECT")
end)

test("hosts share it, or have one each", function()
  local t = load_rules("../quota.lua", { bytes = 100 })
  expect(t:feed(out("192.0.2.1")).verdict).is("ACCEPT")
  expect(t:feed(out("192.0.2.9")).verdict).is("REJECT")
  t = load_rules("../quota.lua", { bytes = 100, per = "host" })
  expect(t:feed(out("192.0.2.1")).verdict).is("ACCEPT")
  expect(t:feed(out("192.0.2.9")).verdict).is("ACCEPT")
  expect(t:feed(back("192.0.2.9"), { dir = "in" }).verdict).is("DROP")
  expect(t:feed(out("192.0.2.1")).verdict).is("REJECT")
end)

test("it begins anew when its time is over", function()
  local t = load_rules("../quota.lua", { bytes = 100, seconds = 60 })
  expect(t:feed(out()).verdict).is("ACCEPT")
  t:at(59)
  expect(t:feed(out()).verdict).is("REJECT")
  t:at(60.5)
  expect(t:feed(out()).verdict).is("ACCEPT")
  expect(t:feed(out()).verdict).is("REJECT")
  -- The periods are counted from the first one, whatever was quiet.
  t:at(239)
  expect(t:feed(out()).verdict).is("ACCEPT")
  t:at(240.5)
  expect(t:feed(out()).verdict).is("ACCEPT")
end)

test("more hosts than are remembered share one", function()
  local t = load_rules("../quota.lua", { bytes = 150, per = "host" })
  for i = 0, 9999 do t:feed(out(("10.0.%d.%d"):format(i // 256, i % 256))) end
  expect(t:feed(out("10.0.0.1")).verdict).is("REJECT")
  expect(t:feed(out("10.1.0.1")).verdict).is("ACCEPT")
  expect(t:feed(out("10.1.0.2")).verdict).is("REJECT")
end)

test("it may be of a protocol and of some hosts", function()
  local t = load_rules("../quota.lua", { bytes = 1, proto = "udp", dst = "192.0.2.0/24" })
  expect(t:feed(out("198.51.100.1")).verdict).is("ACCEPT")
  expect(t:feed(packet { dst = "192.0.2.1", tcp = { dport = 80 } }).verdict).is("ACCEPT")
  expect(t:feed(out()).verdict).is("REJECT")
end)

test("wrong arguments are said", function()
  expect(function() load_rules("../quota.lua") end).raises("quota.lua wants --arg bytes=N")
  expect(function() load_rules("../quota.lua", { bytes = "lots" }) end).raises("bytes=lots")
  expect(function() load_rules("../quota.lua", { bytes = 1, per = "user" }) end)
    .raises("--arg per is host")
end)
