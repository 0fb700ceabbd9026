-- What redirect.lua promises.

local function rules(more)
  local args = { from = "203.0.113.1:80", to = "198.51.100.9:8080" }
  for k, v in pairs(more or {}) do args[k] = v end
  return load_rules("../redirect.lua", args)
end

local function out(dst, port, proto)
  return packet { src = "192.0.2.2", dst = dst,
                  [proto or "tcp"] = { sport = 4000, dport = port } }
end

local function back(src, port, proto)
  return packet { src = src, dst = "192.0.2.2",
                  [proto or "tcp"] = { sport = port, dport = 4000 } }
end

test("what is sent to the one goes to the other", function()
  local r = rules():feed(out("203.0.113.1", 80))
  expect(r.verdict).is("ACCEPT")
  expect(r.packets[1]).is { src = "192.0.2.2", sport = 4000,
                            dst = "198.51.100.9", dport = 8080 }
end)

test("the answers come back under the first one's name", function()
  local t = rules()
  local r = t:feed(back("198.51.100.9", 8080), { dir = "in" })
  expect(r.packets[1]).is { src = "203.0.113.1", sport = 80,
                            dst = "192.0.2.2", dport = 4000 }
  expect(t:hits("redirect-answer")).is(1)
end)

test("other addresses, ports, protocols and directions are left alone", function()
  local t = rules()
  for _, case in ipairs {
    { out("203.0.113.2", 80), "out" }, { out("203.0.113.1", 81), "out" },
    { out("203.0.113.1", 80, "udp"), "out" }, { out("203.0.113.1", 80), "in" },
    { back("198.51.100.9", 8081), "in" }, { back("198.51.100.8", 8080), "in" },
    { back("198.51.100.9", 8080, "udp"), "in" },
    { back("198.51.100.9", 8080), "out" },
  } do
    local r = t:feed(case[1], { dir = case[2] })
    expect(r.packets).is { case[1] }
  end
end)

test("UDP is redirected where that is asked for", function()
  local t = rules { proto = "udp" }
  expect(t:feed(out("203.0.113.1", 80, "udp")).packet.dst).is("198.51.100.9")
  expect(t:feed(out("203.0.113.1", 80)).packet.dst).is("203.0.113.1")
end)

test("there and back again is the same packet", function()
  local t = rules()
  local p = out("203.0.113.1", 80)
  local there = t:feed(p).packet
  local answer = packet { src = there.dst, dst = there.src,
                          tcp = { sport = there.dport, dport = there.sport } }
  local r = t:feed(answer, { dir = "in" })
  expect(r.packet).is { src = p.dst, sport = p.dport, dst = p.src, dport = p.sport }
end)

test("arguments that are missing or no endpoint are said", function()
  expect(function() load_rules("../redirect.lua") end)
    .raises("redirect.lua wants --arg from=ADDRESS:PORT")
  expect(function() rules { to = "198.51.100.9" } end)
    .raises("redirect.lua wants --arg to=ADDRESS:PORT")
  expect(function() rules { to = "198.51.100.9:70000" } end).raises("70000")
  expect(function() rules { from = "300.0.0.1:80" } end).raises("300.0.0.1")
end)
