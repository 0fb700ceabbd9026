-- What lossy.lua promises.

local function ping(seq)
  return packet { src = "192.0.2.2", dst = "192.0.2.1", icmp = { type = 8, id = 7, seq = seq }, id = seq }
end

-- n packets: "1" for each that passes, "0" for each that is lost.
local function passed(t, n)
  local s = ""
  for seq = 1, n do
    local p = ping(seq)
    local r = t:feed(p)
    expect(r.packets).is(r.verdict == "DROP" and {} or { p })
    s = s .. (r.verdict == "DROP" and "0" or "1")
  end
  return s
end

test("the losses are those of the seed", function()
  -- SplitMix64 from 1234567 begins with 0.350 0.174 0.532 0.249 0.890 of 1.
  local t = load_rules("../lossy.lua", { percent = 30, seed = 1234567 })
  expect(passed(t, 5)).is("10101")
  expect(t:count("fault-lost")).is(2)
end)

test("the same seed loses the same, another one others", function()
  local function run(seed)
    return passed(load_rules("../lossy.lua", { percent = 50, seed = seed }), 100)
  end
  local once = run(1)
  expect(run(1)).is(once)
  expect(run(2)).is_not(once)
  expect(run(-1)).is_not(once)
end)

test("the share is about what was asked for", function()
  local t = load_rules("../lossy.lua", { percent = "20%", seed = 5 })
  passed(t, 2000)
  expect(t:count("fault-lost")).near(400, 60)
end)

test("nothing and everything are possible", function()
  expect(passed(load_rules("../lossy.lua", { percent = 0 }), 50)).is(("1"):rep(50))
  expect(passed(load_rules("../lossy.lua", { percent = 100 }), 50)).is(("0"):rep(50))
end)

test("losses come in bursts of the length that is asked for", function()
  local t = load_rules("../lossy.lua", { percent = 20, burst = 3, seed = 1 })
  for run in passed(t, 500):gmatch("1(0+)1") do expect(#run % 3).is(0) end
end)

test("only what is chosen meets it, and in the direction that is", function()
  local t = load_rules("../lossy.lua", { percent = 100, proto = "udp", dport = 53,
                                         dst = "192.0.2.0/24", dir = "both" })
  local function feed(fields, dir)
    return t:feed(packet(fields), { dir = dir }).verdict
  end
  expect(feed({ dst = "192.0.2.1", udp = { dport = 53 } })).is("DROP")
  expect(feed({ dst = "192.0.2.1", udp = { dport = 54 } })).is("ACCEPT")
  expect(feed({ dst = "192.0.2.1", tcp = { dport = 53 } })).is("ACCEPT")
  expect(feed({ dst = "192.0.3.1", udp = { dport = 53 } })).is("ACCEPT")
  expect(feed({ src = "192.0.2.1", dst = "10.0.0.1", udp = { sport = 53 } }, "in")).is("DROP")
  expect(feed({ src = "192.0.2.1", dst = "10.0.0.1", udp = { dport = 53 } }, "in")).is("ACCEPT")
end)

test("only what arrives, if that is asked for", function()
  local t = load_rules("../lossy.lua", { percent = 100, dir = "in" })
  expect(t:feed(ping(1)).verdict).is("ACCEPT")
  expect(t:feed(ping(1), { dir = "in" }).verdict).is("DROP")
end)

test("wrong arguments are said", function()
  for text, args in pairs {
    ["percent=many"]   = { percent = "many" },
    ["percent=101"]    = { percent = 101 },
    ["percent=-1"]     = { percent = -1 },
    ["burst=0"]        = { burst = 0 },
    ["burst=1.5: not a whole number"] = { burst = 1.5 },
    ["seed=x"]         = { seed = "x" },
    ["out, in or both"] = { dir = "up" },
  } do
    expect(function() load_rules("../lossy.lua", args) end).raises(text)
  end
end)
