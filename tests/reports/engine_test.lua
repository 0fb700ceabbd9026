-- The engine under test is the whole one: time, tasks, flows, errors.

local function udp(fields)
  local p = { src = "192.0.2.2", dst = "198.51.100.1", udp = { sport = 4000, dport = 53 }, payload = "x" }
  for k, v in pairs(fields or {}) do p[k] = v end
  return packet(p)
end

test("timers run at their times, in order", function()
  local t = load_text [[
    after(2, function() log("two") send(packet { dst = "192.0.2.9", udp = {} }) end)
    every(1, function() count("ticks") log("tick") end)
  ]]
  expect(t:at(0.9).log).is {}
  local r = t:at(2)
  expect(r.log).is { "tick", "two", "tick" }
  expect(r.sent).is { { src = "192.0.2.1", dst = "192.0.2.9" } }
  expect(r.sent[1].time).is(946684800 + 2)
  expect(r.verdict).is(nil)
  t:advance(10)
  expect(t:count("ticks")).is(12)
  expect(t:now()).is(12)
end)

test("a packet that is sent later is sent then", function()
  local t = load_text [[
    rule { action = function(pkt) send(pkt:clone(), { delay = 0.5 }) return DROP end }
  ]]
  local p = udp()
  expect(t:feed(p).sent).is {}
  expect(t:advance(0.4).sent).is {}
  expect(t:advance(0.1).sent).is { p }
  expect(t:advance(9).sent).is {}
end)

test("an error of a timer is told with the step that it happened in", function()
  local t = load_text [[ after(1, function() error("on purpose") end) ]]
  expect(t:at(0.5).error).is(nil)
  expect(t:at(1).error).contains("on purpose")
  expect(t:at(2).error).is(nil)
end)

test("a task waits for its answer", function()
  local t = load_text [[
    capture { dir = { "out", "in" } }
    task(function()
      local a = sr1(packet { dst = "198.51.100.1", icmp = { type = 8, id = 7, seq = 9 } }, 1)
      log(a and a.src or "nothing")
    end)
  ]]
  local probe = t:advance(0).sent[1]
  expect(probe).is { src = "192.0.2.1", icmp = { id = 7, seq = 9 } }
  local r = t:feed(probe:echo_reply(), { dir = "in" })
  expect(r.verdict).is("ANSWER")
  expect(#r.packets).is(0)
  expect(r.log).is { "198.51.100.1" }
end)

test("a task whose answer does not come goes on without", function()
  local t = load_text [[
    task(function()
      log(tostring(sr1(packet { dst = "198.51.100.1", icmp = { type = 8 } }, 1)))
    end)
  ]]
  expect(t:at(0.9).log).is {}
  expect(t:at(1.1).log).is { "nil" }
end)

test("a flow is one for both directions", function()
  local t = load_text [[
    capture { dir = { "out", "in" } }
    rule { name = "second", action = function(pkt)
      if pkt.flow.packets >= 2 then return DROP end
    end }
  ]]
  local p = udp()
  expect(t:feed(p).verdict).is("ACCEPT")
  expect(t:feed(p:reply(), { dir = "in" }).verdict).is("DROP")
  expect(t:feed(udp { src = "192.0.2.3" }).verdict).is("ACCEPT")
end)

test("a payload that grows moves the numbers of its stream", function()
  local t = load_text [[
    capture { dir = { "out", "in" } }
    rule { match = { payload = "ping" }, action = function(pkt) pkt.payload = "pinging" end }
  ]]
  local function data(seq, text)
    return packet { src = "192.0.2.2", dst = "198.51.100.1", payload = text,
      tcp = { sport = 4000, dport = 80, seq = seq, ack_seq = 1, flags = "PA" } }
  end
  t:feed(packet { src = "192.0.2.2", dst = "198.51.100.1",
                  tcp = { sport = 4000, dport = 80, seq = 999, flags = "S" } })
  expect(t:feed(data(1000, "ping")).packets[1]).is { payload = "pinging", tcp = { seq = 1000 } }
  expect(t:feed(data(1004, "more")).packets[1]).is { payload = "more", tcp = { seq = 1007 } }
end)

test("a rule that fails leaves the packet as it arrived", function()
  local text = [[
    rule { name = "bad", action = function(pkt) pkt.ip.ttl = 1 error("on purpose") end }
  ]]
  local r = load_text(text):feed(udp())
  expect(r.verdict).is("ERROR")
  expect(r.rule).is("bad")
  expect(r.error).is("rule bad: text:1: on purpose")
  expect(r.packet.ip.ttl).is(64)
  expect(#r.packets).is(1)
  r = load_text(text .. "on_error(DROP)"):feed(udp())
  expect(r.verdict).is("ERROR")
  expect(#r.packets).is(0)
end)

test("interfaces, directions, the policy", function()
  local t = load_text [[
    capture { dir = { "out", "in" } }
    policy(DROP)
    rule { name = "lan", match = { oif = "eth*" }, action = ACCEPT }
    rule { name = "in", match = { dir = "in" }, action = ACCEPT }
  ]]
  expect(t:feed(udp()).verdict).is("DROP")
  expect(t:feed(udp(), { iface = "eth1" }).rule).is("lan")
  expect(t:feed(udp(), { iface = "wlan0" }).rule).is(nil)
  expect(t:feed(udp(), { dir = "in", iface = "eth1" }).rule).is("in")
end)

test("what was done to a packet before is forgotten when it is fed", function()
  local p = udp()
  p.ip.checksum = 1
  local r = load_text [[ rule { rewrite = { ttl = 9 } } ]]:feed(p)
  local q = load_text [[ rule { rewrite = { ttl = 64 } } ]]:feed(r.packet)
  expect(q.packet).is(p)
end)

test("notes are what audit and pcap say", function()
  local t = load_text [[
    rule { action = function(pkt) audit(pkt, "seen") pcap(pkt, "x.pcap") end }
  ]]
  expect(t:feed(udp()).notes).is { "seen", "pcap x.pcap" }
end)
