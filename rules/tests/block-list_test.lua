-- What block-list.lua promises. Its list is block-list.txt.

local LIST = "tests/block-list.txt" -- relative to the rule's folder

local function to(addr)
  return packet { src = "192.0.2.2", dst = addr, icmp = { type = 8 } }
end

test("what is listed is refused, and its sender told", function()
  local t = load_rules("../block-list.lua", { file = LIST })
  local r = t:feed(to("198.51.100.8"))
  expect(r.verdict).is("REJECT")
  expect(r.rule).is("block-list")
  expect(#r.packets).is(1)
  expect(r.packets[1]).is {
    dst = "192.0.2.2", icmp = { type = 3, code = "admin-prohibited" },
  }
  expect(r.packets[1].icmp.inner).is { dst = "198.51.100.8" }
end)

test("prefixes, ranges and exceptions decide at their edges", function()
  local t = load_rules("../block-list.lua", { file = LIST })
  for addr, listed in pairs {
    ["198.51.99.255"] = false, ["198.51.100.0"] = true,
    ["198.51.100.8"] = true,   ["198.51.100.9"] = false,
    ["198.51.100.10"] = true,  ["198.51.100.255"] = true,
    ["198.51.101.0"] = false,  ["203.0.113.6"] = false,
    ["203.0.113.7"] = true,    ["203.0.113.8"] = true,
    ["203.0.113.9"] = false,
  } do
    expect(addr .. t:feed(to(addr)).verdict)
      .is(addr .. (listed and "REJECT" or "ACCEPT"))
  end
end)

test("silent drops without a word", function()
  local t = load_rules("../block-list.lua", { file = LIST, silent = "yes" })
  local r = t:feed(to("198.51.100.8"))
  expect(r.verdict).is("DROP")
  expect(#r.packets).is(0)
end)

test("a multicast group that is listed is not answered", function()
  local t = load_text([[
    rule { match = { dst = "224.0.0.0/4" },
           action = reject("admin-prohibited") }]])
  local r = t:feed(to("224.0.0.251"))
  expect(r.verdict).is("REJECT")
  expect(#r.packets).is(0)
end)

test("without a list, or with one that is not there, it does not load", function()
  expect(function() load_rules("../block-list.lua") end)
    .raises("block-list.lua wants --arg file=PATH")
  expect(function() load_rules("../block-list.lua", { file = "none.txt" }) end)
    .raises("none.txt")
end)
