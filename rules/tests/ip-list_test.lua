-- What ip-list.lua promises.

local function to(dst) return packet { dst = dst, udp = { dport = 9 } } end

test("what goes to the list is shown, and nothing is changed", function()
  local t = load_rules("../ip-list.lua", { list = "198.51.100.0/24,!198.51.100.9" })
  local p = to("198.51.100.8")
  local r = t:feed(p)
  expect(r.verdict).is("ACCEPT")
  expect(r.rule).is(nil)
  expect(r.packets).is { p }
  expect(r.notes).is { "on the list" }
  for _, dst in ipairs { "198.51.100.9", "198.51.101.1", "192.0.2.1" } do
    expect(#t:feed(to(dst)).notes).is(0)
  end
  expect(t:count("on-the-list")).is(1)
end)

test("the longest prefix decides, whatever the order", function()
  for _, list in ipairs {
    "10.0.0.0/8,!10.1.0.0/16,10.1.2.0/24,!10.1.2.3",
    "!10.1.2.3,10.1.2.0/24,!10.1.0.0/16 10.0.0.0/8",
  } do
    local t = load_rules("../ip-list.lua", { list = list })
    for dst, on in pairs { ["10.2.0.1"] = true, ["10.1.0.1"] = false,
                           ["10.1.2.1"] = true, ["10.1.2.3"] = false } do
      expect(#t:feed(to(dst)).notes).is(on and 1 or 0)
    end
  end
end)

test("an action decides", function()
  for action, verdict in pairs { accept = "ACCEPT", drop = "DROP", reject = "REJECT" } do
    local t = load_rules("../ip-list.lua", { list = "10.0.0.1-10.0.0.9", action = action })
    local r = t:feed(to("10.0.0.9"))
    expect(r.verdict).is(verdict)
    expect(r.rule).is("ip-list")
    expect(t:feed(to("10.0.0.10")).rule).is(nil)
  end
end)

test("the note is the argument's", function()
  local t = load_rules("../ip-list.lua", { list = "10.0.0.1", note = "office" })
  expect(t:feed(to("10.0.0.1")).notes).is { "office" }
end)

test("a file and a list add up", function()
  local t = load_rules("../ip-list.lua", { file = "tests/ip-list.txt", list = "!10.0.0.7" })
  for dst, n in pairs { ["10.0.0.1"] = 1, ["10.0.0.7"] = 0, ["10.0.1.1"] = 0,
                        ["192.0.2.1"] = 1 } do
    expect(#t:feed(to(dst)).notes).is(n)
  end
end)

test("wrong arguments are said", function()
  expect(function() load_rules("../ip-list.lua") end).raises("ip-list.lua wants --arg list=")
  expect(function() load_rules("../ip-list.lua", { list = "10.0.0.1/8" }) end).raises("10.0.0.1/8")
  expect(function() load_rules("../ip-list.lua", { list = "10.0.0.1", action = "ban" }) end)
    .raises("--arg action is accept, drop or reject")
end)
