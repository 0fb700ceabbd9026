-- What connection-log.lua promises.

local HERE, THERE = "192.0.2.2", "192.0.2.1"

local function out(t, proto, layer, payload)
  return t:feed(packet { src = HERE, dst = THERE, [proto] = layer, payload = payload or "" })
end
local function back(t, proto, layer, payload)
  return t:feed(packet { src = THERE, dst = HERE, [proto] = layer, payload = payload or "" },
                { dir = "in" })
end
local function tcp(t, flags, bytes)
  return out(t, "tcp", { sport = 4000, dport = 80, flags = flags }, ("x"):rep(bytes or 0))
end
local function tcp_back(t, flags, bytes)
  return back(t, "tcp", { sport = 80, dport = 4000, flags = flags }, ("x"):rep(bytes or 0))
end

local function converse(t)
  tcp(t, "S") tcp_back(t, "SA") tcp(t, "A")
  t:advance(0.25)
  tcp(t, "PA", 100) tcp_back(t, "PA", 1000)
  tcp(t, "FA") tcp_back(t, "FA") tcp(t, "A")
end
local LINE = "tcp 192.0.2.2:4000 <> 192.0.2.1:80 8 packets 1420 bytes 0.250 s"

test("a TCP connection gets one line when both ends have closed it", function()
  local t = load_rules("../connection-log.lua")
  converse(t)
  expect(t:advance(3).log).is { LINE }
  expect(t:advance(1000).log).is {}
  expect(t:count("connections")).is(1)
  expect(t:count("connection-bytes")).is(1420)
end)

test("every packet passes as it is", function()
  local t = load_rules("../connection-log.lua")
  local p = packet { src = HERE, dst = THERE, tcp = { dport = 80 } }
  local r = t:feed(p)
  expect(r.verdict).is("ACCEPT")
  expect(r.packets).is { p }
end)

test("one that is half closed has not ended", function()
  local t = load_rules("../connection-log.lua")
  tcp(t, "S") tcp_back(t, "SA") tcp(t, "FA")
  expect(t:advance(30).log).is {}
  tcp_back(t, "PA", 60)
  tcp_back(t, "FA")
  expect(t:advance(3).log).is {
    "tcp 192.0.2.2:4000 <> 192.0.2.1:80 5 packets 260 bytes 30.000 s",
  }
end)

test("a RST is the end at once, and what comes behind it is no connection", function()
  local t = load_rules("../connection-log.lua")
  tcp(t, "S")
  expect(tcp_back(t, "RA").log).is {
    "tcp 192.0.2.2:4000 <> 192.0.2.1:80 2 packets 80 bytes 0.000 s",
  }
  tcp_back(t, "RA")
  expect(t:advance(1000).log).is {}
end)

test("the same addresses and ports again are another connection", function()
  local t = load_rules("../connection-log.lua")
  converse(t)
  t:advance(3)
  converse(t)
  expect(t:advance(3).log).is { LINE }
  expect(t:count("connections")).is(2)
end)

test("for what has no end silence is one", function()
  local t = load_rules("../connection-log.lua", { idle = 5 })
  out(t, "udp", { sport = 4000, dport = 53 }, "question")
  t:advance(0.5)
  back(t, "udp", { sport = 53, dport = 4000 }, "answer")
  out(t, "icmp", { type = 8, id = 7 })
  expect(t:advance(4).log).is {}
  local log = t:advance(4).log
  expect(#log).is(2)
  expect(log).contains("udp 192.0.2.2:4000 <> 192.0.2.1:53 2 packets 70 bytes 0.500 s")
  expect(log).contains("icmp 192.0.2.2:7 <> 192.0.2.1:7 1 packets 28 bytes 0.000 s")
end)

test("one that goes on after its silence gets a line for the rest", function()
  local t = load_rules("../connection-log.lua", { idle = 5 })
  for _ = 1, 3 do out(t, "udp", { sport = 4000, dport = 53 }) end
  expect(#t:advance(10).log).is(1)
  out(t, "udp", { sport = 4000, dport = 53 })
  expect(t:advance(10).log).is { "udp 192.0.2.2:4000 <> 192.0.2.1:53 1 packets 28 bytes 0.000 s" }
end)

test("only what is chosen is logged", function()
  local t = load_rules("../connection-log.lua", { idle = 1, proto = "udp", dport = 53 })
  out(t, "udp", { sport = 4000, dport = 53 })
  back(t, "udp", { sport = 53, dport = 4000 })
  out(t, "udp", { sport = 4000, dport = 54 })
  out(t, "icmp", { type = 8 })
  expect(t:advance(5).log).is { "udp 192.0.2.2:4000 <> 192.0.2.1:53 2 packets 56 bytes 0.000 s" }
end)
