-- What ping-forward.lua promises.

local incoming = { dir = "in" }

local function rules(more)
  local args = { prefix = "203.0.113.0/24", to = "198.51.100.9" }
  for k, v in pairs(more or {}) do args[k] = v end
  return load_rules("../ping-forward.lua", args)
end

local function ping(fields)
  local p = { src = "192.0.2.2", dst = "203.0.113.7", ttl = 33, payload = "hello",
              icmp = { type = "echo-request", id = 7, seq = 1 } }
  for k, v in pairs(fields or {}) do p[k] = v end
  return packet(p)
end

-- The request that goes out for p.
local function forward(t, p)
  local r = t:feed(p or ping())
  expect(r.verdict).is("REPLACE")
  expect(#r.packets).is(1)
  return r.packets[1]
end

-- As the far side answers: not to the address that a test has none of.
local function answer(request)
  local r = request:clone()
  r.src = "192.0.2.2"
  r = r:echo_reply()
  r.ip.ttl = 60
  return r
end

test("a request goes on as our own, with another id", function()
  local t = rules()
  local p = forward(t)
  expect(p).is { dst = "198.51.100.9", ttl = 33, payload = "hello",
                 icmp = { type = "echo-request", code = 0, seq = 1 } }
  expect(p.icmp.id).is_not(7)
  expect(t:count("forwarded")).is(1)
end)

test("the requests of one ping have one id, those of another another", function()
  local t = rules()
  local id = forward(t).icmp.id
  expect(forward(t, ping { icmp = { type = 8, id = 7, seq = 2 } }).icmp.id).is(id)
  expect(forward(t, ping { icmp = { type = 8, id = 8, seq = 1 } }).icmp.id).is_not(id)
  expect(forward(t, ping { dst = "203.0.113.8" }).icmp.id).is_not(id)
end)

test("the answer comes back as if from where it was asked", function()
  local t = rules()
  local r = t:feed(answer(forward(t)), incoming)
  expect(r.verdict).is("ACCEPT")
  expect(r.packet).is { src = "203.0.113.7", dst = "192.0.2.2", ttl = 60, payload = "hello",
                        icmp = { type = "echo-reply", id = 7, seq = 1 } }
  expect(t:count("answered")).is(1)
  -- It waits no more.
  expect(#t:advance(10).log).is(0)
  expect(t:count("lost")).is(0)
end)

test("answers that overtake each other find their own", function()
  local t, list = rules(), {}
  for seq = 1, 5 do
    list[seq] = forward(t, ping { icmp = { type = 8, id = 7, seq = seq },
                                  dst = "203.0.113." .. seq })
  end
  for seq = 5, 1, -1 do
    expect(t:feed(answer(list[seq]), incoming).packet)
      .is { src = "203.0.113." .. seq, icmp = { id = 7, seq = seq } }
  end
  expect(t:count("answered")).is(5)
end)

test("lost ones expire, and an answer too late goes its way as it is", function()
  local t = rules { seconds = 2 }
  local late = answer(forward(t))
  t:advance(1.9)
  expect(t:count("lost")).is(0)
  t:advance(0.2)
  expect(t:count("lost")).is(1)
  local r = t:feed(late, incoming)
  expect(r.rule).is(nil)
  expect(r.packets).is { late }
end)

test("an answer that comes twice is mapped once", function()
  local t = rules()
  local a = answer(forward(t))
  expect(t:feed(a, incoming).packet.src).is("203.0.113.7")
  expect(t:feed(a, incoming).packets).is { a }
  expect(t:count("answered")).is(1)
end)

test("answers to others are left alone", function()
  local t = rules()
  local a = answer(forward(t))
  for field, value in pairs { src = "198.51.100.8", id = a.icmp.id ~ 1, seq = 2 } do
    local other = a:clone()
    if field == "src" then other.src = value else other.icmp[field] = value end
    expect(t:feed(other, incoming).packets).is { other }
  end
  expect(t:feed(a, incoming).packet.src).is("203.0.113.7")
end)

test("errors about ours come back as errors about theirs", function()
  local t = rules()
  local p = forward(t)
  p.src = "192.0.2.2"
  local r = t:feed(p:time_exceeded { from = "192.0.2.1" }, incoming)
  expect(#r.packets).is(1)
  expect(r.packets[1]).is { src = "192.0.2.1", dst = "192.0.2.2", icmp = { type = 11, code = 0 } }
  expect(r.packets[1].icmp.inner).is { dst = "203.0.113.7", icmp = { type = 8, id = 7, seq = 1 } }
  p = forward(t)
  p.src = "192.0.2.2"
  r = t:feed(p:unreachable("host-unreachable"), incoming)
  expect(r.packets[1]).is { src = "203.0.113.7", icmp = { type = 3, code = 1 } }
  t:advance(10)
  expect(t:count("lost")).is(0)
end)

test("errors about anything else are left alone", function()
  local t = rules()
  forward(t)
  for _, p in ipairs { ping(), packet { src = "192.0.2.2", dst = "198.51.100.9", udp = {} } } do
    local e = p:unreachable()
    expect(t:feed(e, incoming).packets).is { e }
  end
end)

test("without --arg to it goes where it was going", function()
  local t = load_rules("../ping-forward.lua", { prefix = "203.0.113.0/24" })
  local p = forward(t)
  expect(p.dst).is("203.0.113.7")
  expect(t:feed(answer(p), incoming).packet.icmp.id).is(7)
end)

test("other destinations, other types, answers and fragments pass", function()
  local t = rules()
  for _, p in ipairs {
    ping { dst = "203.0.114.1" }, ping { icmp = { type = 0, id = 7, seq = 1 } },
    ping { mf = true }, packet { dst = "203.0.113.7", udp = { dport = 7 } },
  } do
    expect(t:feed(p).packets).is { p }
  end
end)

test("without a prefix it does not load", function()
  expect(function() load_rules("../ping-forward.lua") end)
    .raises("ping-forward.lua wants --arg prefix=PREFIX")
  expect(function() rules { prefix = "203.0.113.0/33" } end).raises("203.0.113.0/33")
end)
