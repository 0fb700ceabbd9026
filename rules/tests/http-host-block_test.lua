-- What http-host-block.lua promises, and opening.lua for it.

local function rules(more)
  local args = { names = "example.com,ads.test" }
  for k, v in pairs(more or {}) do args[k] = v end
  return load_rules("../http-host-block.lua", args)
end

-- A client: connect() sends its SYN, send(text) the next bytes, at(n, text)
-- those from byte n on.
local function client(t, fields)
  local c = { port = 4000, seq = 1000, to = 80 }
  for k, v in pairs(fields or {}) do c[k] = v end
  function c.segment(seq, flags, payload)
    return packet { src = "192.0.2.2", dst = "198.51.100.9", payload = payload or "",
                    tcp = { sport = c.port, dport = c.to, flags = flags,
                            seq = seq & 0xffffffff, ack_seq = flags ~= "S" and 77 or 0 } }
  end
  function c.connect()
    c.next = c.seq + 1
    return t:feed(c.segment(c.seq, "S"))
  end
  function c.at(n, text) return t:feed(c.segment(c.seq + n, "PA", text)) end
  function c.send(text)
    local r = t:feed(c.segment(c.next, "PA", text))
    c.next = c.next + #text
    return r
  end
  c.connect()
  return c
end

local function get(host) return "GET / HTTP/1.1\r\nUser-Agent: x\r\nHost: " .. host .. "\r\n\r\n" end

test("a request to a listed host is refused, to both ends", function()
  local t = rules()
  local r = client(t).send(get("www.example.com"))
  expect(r.verdict).is("REJECT")
  expect(r.rule).is("http-host-block")
  expect(r.packets[1]).is { src = "198.51.100.9", dst = "192.0.2.2", sport = 80, dport = 4000,
                            tcp = { flags = "R", seq = 77 } }
  expect(#r.sent).is(1)
  expect(r.sent[1]).is { src = "192.0.2.2", dst = "198.51.100.9", sport = 4000, dport = 80,
                         tcp = { flags = "R", seq = 1001 } }
  expect(t:count("http-host-block")).is(1)
end)

test("which hosts are listed", function()
  for host, verdict in pairs {
    ["example.com"] = "REJECT", ["EXAMPLE.com"] = "REJECT", ["a.b.example.com"] = "REJECT",
    ["example.com:8080"] = "REJECT", ["example.com."] = "REJECT", [" example.com \t"] = "REJECT",
    ["example.com.:80"] = "REJECT", ["ads.test"] = "REJECT",
    ["notexample.com"] = "ACCEPT", ["example.com.org"] = "ACCEPT", ["test"] = "ACCEPT",
    [""] = "ACCEPT", ["192.0.2.1"] = "ACCEPT", ["[2001:db8::1]:80"] = "ACCEPT",
  } do
    expect(host .. " " .. client(rules()).send(get(host)).verdict).is(host .. " " .. verdict)
  end
end)

test("the field's name in any letters, the URL, any method", function()
  for text, verdict in pairs {
    ["GET / HTTP/1.1\r\nhOsT:example.com\r\n"] = "REJECT",
    ["GET / HTTP/1.1\nHost: example.com\n\n"] = "REJECT",
    ["\r\nBREW / HTTP/1.1\r\nHost: example.com\r\n\r\n"] = "REJECT",
    ["GET http://example.com/x HTTP/1.1\r\nHost: good.test\r\n\r\n"] = "REJECT",
    ["GET http://u:p@example.com:80/ HTTP/1.0\r\n\r\n"] = "REJECT",
    ["GET http://good.test/ HTTP/1.1\r\nHost: example.com\r\n\r\n"] = "REJECT",
    ["GET / HTTP/1.1\r\nX-Host: example.com\r\nHost: good.test\r\n\r\n"] = "ACCEPT",
    ["GET /?Host: example.com HTTP/1.0\r\n\r\n"] = "ACCEPT",
    ["SSH-2.0-x\r\nHost: example.com\r\n"] = "ACCEPT",
  } do
    expect(text .. client(rules()).send(text).verdict).is(text .. verdict)
  end
end)

test("a request in two segments, cut anywhere, is refused at the one that completes the host", function()
  local text = get("example.com")
  local _, complete = text:find("example.com\r\n", 1, true)
  for n = 1, #text - 1 do
    local t = rules()
    local c = client(t)
    local first, second = c.send(text:sub(1, n)), c.send(text:sub(n + 1))
    expect(first.verdict).is(n >= complete and "REJECT" or "ACCEPT")
    expect(second.verdict).is("REJECT")
    expect(t:count("http-host-block")).is(1)
  end
end)

test("a byte at a time", function()
  local c, verdicts = client(rules()), {}
  for byte in get("example.com"):gmatch(".") do
    verdicts[c.send(byte).verdict] = true
  end
  expect(verdicts).is { ACCEPT = true, REJECT = true }
end)

test("segments that overtake each other, come twice or overlap", function()
  local text = get("example.com")
  local function part(i, j) return { i, text:sub(i, j) } end
  for _, order in ipairs {
    { part(20, -1), part(1, 19) },
    { part(30, -1), part(10, 29), part(1, 9) },
    { part(1, 10), part(1, 10), part(11, -1) },
    { part(1, 20), part(11, 30), part(5, -1) },
    { part(20, 25), part(20, -1), part(20, 22), part(1, 19) },
  } do
    local t = rules()
    local c, r = client(t)
    for _, p in ipairs(order) do
      r = c.at(p[1], p[2])
      if p ~= order[#order] then expect(r.verdict).is("ACCEPT") end
    end
    expect(r.verdict).is("REJECT")
  end
end)

test("the numbers may wrap around", function()
  for _, seq in ipairs { 0xffffffff, 0xfffffffe, 0xfffffff0, 0x7ffffff0 } do
    local text = get("example.com")
    local c = client(rules(), { seq = seq })
    expect(c.send(text:sub(1, 20)).verdict).is("ACCEPT")
    expect(c.send(text:sub(21)).verdict).is("REJECT")
  end
end)

test("what a refused client sends again is refused again, and told once", function()
  local t = rules()
  local c = client(t)
  c.send(get("example.com"))
  local r = c.at(1, get("example.com"))
  expect(r.verdict).is("REJECT")
  expect(#r.sent).is(0)
  expect(t:count("http-host-block")).is(1)
  -- The same port, later: another connection.
  c.connect()
  expect(c.send(get("good.test")).verdict).is("ACCEPT")
end)

test("what was let be stays so", function()
  local c = client(rules())
  local r = c.send(get("good.test"))
  expect(r.verdict).is("ACCEPT")
  expect(#r.sent).is(0)
  expect(c.send(get("example.com")).verdict).is("ACCEPT")
end)

test("no more than 16 KiB are kept", function()
  local t = rules()
  local c = client(t)
  c.send("GET / HTTP/1.1\r\n")
  for _ = 1, 20 do expect(c.send(("X: " .. ("y"):rep(997) .. "\r\n")).verdict).is("ACCEPT") end
  expect(c.send("Host: example.com\r\n").verdict).is("ACCEPT")
end)

test("other ports, answers, fragments and connections begun before are left alone", function()
  local t = rules()
  local c = client(t, { to = 8080 })
  expect(c.send(get("example.com")).rule).is(nil)
  c = { port = 4001 }
  local p = packet { src = "192.0.2.2", dst = "198.51.100.9", payload = get("example.com"),
                     tcp = { sport = 4001, dport = 80, flags = "PA", seq = 5, ack_seq = 1 } }
  expect(t:feed(p).packets).is { p }
  p = packet { src = "192.0.2.2", dst = "198.51.100.9", proto = "tcp", frag_offset = 100,
               payload = get("example.com") }
  expect(t:feed(p).packets).is { p }
  expect(client(rules { port = 8080 }, { to = 8080 }).send(get("example.com")).verdict).is("REJECT")
end)

test("without names it does not load", function()
  expect(function() load_rules("../http-host-block.lua") end)
    .raises("http-host-block.lua wants --arg names=NAME,...")
end)
