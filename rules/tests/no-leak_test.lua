-- What no-leak.lua promises.

local function verdict(t, dst, proto)
  return t:feed(packet { src = "192.0.2.2", dst = dst, [proto or "udp"] = {} }).verdict
end

test("what is not in the networks is refused, and its sender told", function()
  local t = load_rules("../no-leak.lua", { nets = "192.0.2.0/24" })
  local r = t:feed(packet { src = "192.0.2.2", dst = "198.51.100.9", tcp = { dport = 80 } })
  expect(r.verdict).is("REJECT")
  expect(r.rule).is("no-leak")
  expect(#r.packets).is(1)
  expect(r.packets[1]).is { dst = "192.0.2.2", icmp = { type = 3, code = "admin-prohibited" } }
end)

test("networks begin and end where they say; exceptions are not in them", function()
  local t = load_rules("../no-leak.lua",
    { nets = "10.0.0.0/8, !10.1.0.0/16,10.1.2.3,192.0.2.4-192.0.2.6" })
  for dst, leaves in pairs {
    ["9.255.255.255"] = false, ["10.0.0.0"] = true, ["10.0.255.255"] = true,
    ["10.1.0.0"] = false, ["10.1.255.255"] = false, ["10.1.2.3"] = true,
    ["10.2.0.0"] = true, ["10.255.255.255"] = true, ["11.0.0.0"] = false,
    ["192.0.2.3"] = false, ["192.0.2.4"] = true, ["192.0.2.6"] = true,
    ["192.0.2.7"] = false, ["224.0.0.1"] = false, ["255.255.255.255"] = false,
  } do
    expect(dst .. " " .. verdict(t, dst)).is(dst .. (leaves and " ACCEPT" or " REJECT"))
  end
end)

test("every protocol, and fragments, are held back", function()
  local t = load_rules("../no-leak.lua", { nets = "192.0.2.0/24" })
  for _, p in ipairs {
    packet { dst = "198.51.100.9", icmp = { type = 8 } },
    packet { dst = "198.51.100.9", proto = "gre", payload = "x" },
    packet { dst = "198.51.100.9", udp = {}, frag_offset = 100 },
  } do
    expect(t:feed(p).verdict).is("REJECT")
  end
end)

test("files behind it still see what may leave", function()
  local t = load_rules({ "../no-leak.lua", "../ttl.lua" }, { nets = "192.0.2.0/24", ttl = 9 })
  expect(t:feed(packet { dst = "192.0.2.1", udp = {} }).packets[1].ip.ttl).is(9)
end)

test("without networks it does not load", function()
  expect(function() load_rules("../no-leak.lua") end).raises("no-leak.lua wants --arg nets=")
  expect(function() load_rules("../no-leak.lua", { nets = " " }) end).raises("is empty")
  expect(function() load_rules("../no-leak.lua", { nets = "here" }) end).raises("here")
end)
