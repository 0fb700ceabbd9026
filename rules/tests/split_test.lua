-- What split.lua promises.

local ME, WEB, NET, ELSE = "192.0.2.2", "203.0.113.9", "198.51.100.9", "192.0.2.99"

local function rules(more)
  local a = { tunnel = "198.51.100.0/24,!198.51.100.77", via = "wg0",
              proxy = "203.0.113.0/24", port = "8080" }
  for k, v in pairs(more or {}) do a[k] = v or nil end
  return load_rules("../split.lua", a)
end

local function syn(dst, dport, sport)
  return packet { src = ME, dst = dst, tcp = { sport = sport or 4000, dport = dport or 80,
                                               flags = "S" } }
end

local function udp(dst)
  return packet { src = ME, dst = dst, udp = { sport = 4000, dport = 443 } }
end

-- What the proxy would answer to p.
local function answer(p)
  return packet { src = p.dst, dst = p.src,
                  tcp = { sport = p.dport, dport = p.sport, flags = "SA" } }
end

test("lists decide", function()
  local t = rules()
  local r = t:feed(syn(NET))
  expect(r.verdict).is("VIA")
  expect(r.via).is("wg0")
  expect(r.packet).is { src = ME, sport = 4000, dst = NET, dport = 80 }
  for _, p in ipairs { syn("198.51.100.77"), syn(ELSE), udp(ELSE), udp("224.0.0.251"),
                       udp("255.255.255.255") } do
    r = t:feed(p)
    expect(r.verdict).is("ACCEPT")
    expect(r.packets).is { p }
  end
  expect(t:feed(syn(WEB)).rule).is("split-proxy")
  expect(t:feed(udp(WEB)).verdict).is("REJECT")
  expect(t:feed(udp(NET)).verdict).is("VIA")
end)

test("the proxy gets the connection, and its answers are the server's", function()
  local t = rules()
  local p = t:feed(syn(WEB)).packet
  expect(p).is { src = WEB, sport = 4000, dst = ME, dport = 8080 }
  local r = t:feed(answer(p))
  expect(r.verdict).is("ACCEPT")
  expect(r.packet).is { src = WEB, sport = 80, dst = ME, dport = 4000 }
  local more = packet { src = ME, dst = WEB, payload = "hello",
                        tcp = { sport = 4000, dport = 80, flags = "PA" } }
  expect(t:feed(more).packet).is { src = WEB, sport = 4000, dst = ME, dport = 8080 }
  expect(t:count("proxied")).is(1)
end)

test("connections from one port to two of a server are told apart", function()
  local t = rules()
  local one, two = t:feed(syn(WEB, 80)).packet, t:feed(syn(WEB, 443)).packet
  expect(one.sport).is_not(two.sport)
  expect(t:feed(answer(one)).packet.sport).is(80)
  expect(t:feed(answer(two)).packet.sport).is(443)
  expect(t:feed(answer(two)).packet.dport).is(4000)
end)

test("what was open before is cut, and what the proxy's port sends else passes", function()
  local t = rules()
  local p = packet { src = ME, dst = WEB, tcp = { sport = 5000, dport = 80, flags = "A" } }
  expect(t:feed(p).verdict).is("REJECT")
  local other = packet { src = ME, dst = ELSE, tcp = { sport = 8080, dport = 1, flags = "SA" } }
  expect(t:feed(other).packets).is { other }
end)

test("a connection is forgotten when it has ended, or was idle for long", function()
  local t = rules()
  local p = t:feed(syn(WEB)).packet
  t:advance(7000)
  expect(t:feed(answer(p)).packet.sport).is(80)
  t:advance(7000)
  expect(t:feed(answer(p)).packet.sport).is(80)
  t:advance(7400)
  expect(t:feed(answer(p)).packet.sport).is(8080)

  p = t:feed(syn(WEB)).packet
  t:feed(packet { src = ME, dst = WEB, tcp = { sport = 4000, dport = 80, flags = "R" } })
  t:advance(60)
  expect(t:feed(answer(p)).packet.sport).is(80)
  t:advance(300)
  expect(t:feed(answer(p)).packet.sport).is(8080)
end)

test("direct comes before proxy before tunnel", function()
  local t = rules { direct = "203.0.113.1", proxy = "203.0.113.0/24,198.51.100.5",
                    tunnel = "0.0.0.0/0" }
  expect(t:feed(syn("203.0.113.1")).rule).is("split-direct")
  expect(t:feed(syn("198.51.100.5")).rule).is("split-proxy")
  expect(t:feed(syn("198.51.100.6")).verdict).is("VIA")
end)

test("the rest goes where it is told", function()
  for rest, verdict in pairs { direct = "ACCEPT", tunnel = "VIA" } do
    local t = rules { rest = rest }
    expect(t:feed(syn(ELSE)).verdict).is(verdict)
    expect(t:feed(udp("224.0.0.251")).verdict).is("ACCEPT")
  end
  local t = rules { rest = "proxy", proxy = false }
  expect(t:feed(syn(ELSE)).packet.dst).is(ME)
  expect(t:feed(syn(NET)).verdict).is("VIA")
end)

test("the proxy may listen on one address", function()
  local t = rules { listen = "192.0.2.3" }
  local p = t:feed(syn(WEB)).packet
  expect(p.dst).is("192.0.2.3")
  expect(t:feed(answer(p)).packet).is { src = WEB, sport = 80, dst = ME, dport = 4000 }
end)

test("wrong arguments are said", function()
  expect(function() load_rules("../split.lua") end).raises("wants --arg proxy= or")
  expect(function() rules { via = false } end).raises("wants --arg via=INTERFACE")
  expect(function() rules { port = "http" } end).raises("wants --arg port=PORT")
  expect(function() rules { rest = "nowhere" } end).raises("--arg rest is")
  expect(function() rules { via = "lo" } end).raises("'lo' is no name of an interface")
end)
