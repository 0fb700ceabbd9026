-- What sni-block.lua promises; how streams are put together is in
-- http-host-block_test.lua.

local function extension(id, data) return string.pack(">I2s2", id, data) end
local function name_extension(name)
  return extension(0, string.pack(">s2", string.pack(">Bs2", 0, name)))
end

-- A ClientHello as a message of the handshake.
local function hello(name, fields)
  local h = { session = ("s"):rep(32), before = extension(0x0a0a, ""), after = extension(43, "\2\3\4") }
  for k, v in pairs(fields or {}) do h[k] = v end
  local extensions = h.before .. (name and name_extension(name) or "") .. h.after
  local body = "\3\3" .. ("r"):rep(32) .. string.pack(">s1s2s1s2", h.session,
    hex("1301 1302 c02f"), "\0", extensions)
  return "\1" .. string.pack(">s3", body)
end

-- In records of so many bytes (all in one).
local function records(message, size)
  local list = {}
  for at = 1, #message, size or #message do
    list[#list + 1] = string.pack(">BBBs2", 22, 3, 1, message:sub(at, at + (size or #message) - 1))
  end
  return table.concat(list)
end

local port = 4000
local function try(t, ...)
  local seq, r = 1001, nil
  port = port + 1
  local function segment(flags, n, payload)
    return packet { src = "192.0.2.2", dst = "198.51.100.9", payload = payload,
                    tcp = { sport = port, dport = 443, flags = flags, seq = n, ack_seq = 7 } }
  end
  t:feed(segment("S", 1000, ""))
  for _, text in ipairs { ... } do
    r = t:feed(segment("PA", seq, text))
    expect(r.error).is(nil)
    seq = seq + #text
  end
  return r
end

local function rules(more)
  local args = { names = "example.com" }
  for k, v in pairs(more or {}) do args[k] = v end
  return load_rules("../sni-block.lua", args)
end

test("a connection to a listed name is refused, to both ends", function()
  local t = rules()
  local r = try(t, records(hello("www.example.com")))
  expect(r.verdict).is("REJECT")
  expect(r.rule).is("sni-block")
  expect(r.packets[1]).is { dst = "192.0.2.2", tcp = { flags = "R", seq = 7 } }
  expect(r.sent).is { { dst = "198.51.100.9", dport = 443, tcp = { flags = "R", seq = 1001 } } }
  expect(t:count("sni-block")).is(1)
end)

test("which names are listed", function()
  local t = rules()
  for name, verdict in pairs {
    ["example.com"] = "REJECT", ["EXAMPLE.COM"] = "REJECT", ["a.b.example.com"] = "REJECT",
    ["example.com."] = "REJECT", ["notexample.com"] = "ACCEPT", ["example.com.org"] = "ACCEPT",
    ["com"] = "ACCEPT", [""] = "ACCEPT",
  } do
    expect(name .. " " .. try(t, records(hello(name))).verdict).is(name .. " " .. verdict)
  end
end)

test("wherever the name stands among the extensions, with or without a session", function()
  local t = rules()
  for _, fields in ipairs {
    { before = "" }, { after = "" }, { session = "" },
    { before = extension(21, ("\0"):rep(1500)) },
  } do
    expect(try(t, records(hello("example.com", fields))).verdict).is("REJECT")
  end
end)

test("a ClientHello in two segments, cut anywhere, is refused at the second", function()
  local text = records(hello("example.com"))
  for n = 1, #text - 1 do
    local t = rules()
    local r = try(t, text:sub(1, n))
    expect(r.verdict).is("ACCEPT")
    r = try(t, text:sub(1, n), text:sub(n + 1))
    expect(r.verdict).is("REJECT")
    expect(r.sent[1].tcp.seq).is(1001 + n)
  end
end)

test("in TLS records of any size, in any segments", function()
  local message = hello("example.com")
  for _, size in ipairs { 1, 2, 3, 5, 50, 100 } do
    local text = records(message, size)
    expect(try(rules(), text).verdict).is("REJECT")
    expect(try(rules(), text:sub(1, 40), text:sub(41, 90), text:sub(91)).verdict).is("REJECT")
  end
end)

test("other names, no name, and what is no ClientHello pass", function()
  local t = rules()
  for _, text in ipairs {
    records(hello("good.test")), records(hello(nil)),
    records(hello("example.com")):gsub("^\22", "\23"),
    records("\2" .. hello("example.com"):sub(2)),
    "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", "\22", "\22\3\1\0\0",
    records("\1\0\0\0"), records("\1\0\0\4abcd"), records("\1\255\255\255abcd"),
    ("\22"):rep(100), ("\0"):rep(100), "\22\3\1\255\255" .. ("\255"):rep(20000),
  } do
    expect(try(t, text).verdict).is("ACCEPT")
  end
  expect(t:count("sni-block")).is(0)
end)

test("whichever byte of it is wrong, no error", function()
  local text = records(hello("example.com"))
  for at = 1, #text do
    for _, byte in ipairs { "\0", "\127", "\255" } do
      try(rules(), text:sub(1, at - 1) .. byte .. text:sub(at + 1))
    end
  end
  expect(try(rules(), text).verdict).is("REJECT")
end)

test("QUIC is refused where that is asked for", function()
  local p = packet { src = "192.0.2.2", dst = "198.51.100.9",
                     udp = { sport = 4000, dport = 443 }, payload = "\xc0" }
  expect(rules():feed(p).packets).is { p }
  local r = rules { quic = "drop" }:feed(p)
  expect(r.rule).is("sni-block-quic")
  expect(r.packets[1]).is { icmp = { type = 3, code = 3 } }
end)

test("another port", function()
  local t = rules { port = 8443 }
  expect(try(t, records(hello("example.com"))).rule).is(nil)
end)

test("wrong arguments are said", function()
  expect(function() load_rules("../sni-block.lua") end).raises("sni-block.lua wants --arg names=NAME,...")
  expect(function() rules { quic = "maybe" } end).raises("--arg quic is drop")
  expect(function() rules { port = 70000 } end).raises("70000")
end)
