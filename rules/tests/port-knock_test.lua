-- What port-knock.lua promises.

local incoming = { dir = "in" }

local function rules(more)
  local args = { knock = "7000,8000,9000" }
  for k, v in pairs(more or {}) do args[k] = v end
  return load_rules("../port-knock.lua", args)
end

local function syn(port, src)
  return packet { src = src or "192.0.2.9", dst = "192.0.2.2",
                  tcp = { sport = 4000, dport = port, flags = "S" } }
end

local function knock(t, ports, src)
  for _, port in ipairs(ports) do
    local r = t:feed(syn(port, src), incoming)
    expect(r.verdict).is("DROP")
    expect(#r.packets).is(0)
  end
end

local function is_open(t, src, port)
  return t:feed(syn(port or 22, src), incoming).verdict == "ACCEPT"
end

test("the port is closed, silently", function()
  local r = rules():feed(syn(22), incoming)
  expect(r.verdict).is("DROP")
  expect(r.rule).is("port-knock-closed")
  expect(#r.packets).is(0)
end)

test("it opens for who knocks, and for nobody else", function()
  local t = rules()
  knock(t, { 7000, 8000, 9000 })
  expect(is_open(t)).is(true)
  expect(is_open(t, "192.0.2.8")).is(false)
  expect(t:count("opened")).is(1)
end)

test("it closes after a while; a connection that stands goes on", function()
  local t = rules { seconds = 5 }
  knock(t, { 7000, 8000, 9000 })
  t:advance(4.9)
  expect(is_open(t)).is(true)
  t:advance(0.2)
  expect(is_open(t)).is(false)
  local data = packet { src = "192.0.2.9", dst = "192.0.2.2", payload = "x",
                        tcp = { sport = 4000, dport = 22, flags = "PA", ack_seq = 1 } }
  expect(t:feed(data, incoming).packets).is { data }
end)

test("part of the row, another order, or another port between is not enough", function()
  for _, ports in ipairs {
    { 7000, 8000 }, { 8000, 9000 }, { 9000, 8000, 7000 }, { 7000, 9000, 8000 },
    { 7000, 8000, 7000, 9000 }, { 8000, 7000, 9000 },
  } do
    local t = rules()
    knock(t, ports)
    expect(is_open(t)).is(false)
  end
end)

test("a knock that comes twice counts once, and a wrong one begins afresh", function()
  for _, ports in ipairs {
    { 7000, 7000, 8000, 8000, 8000, 9000 },
    { 9000, 7000, 8000, 9000 }, { 7000, 8000, 7000, 8000, 9000 },
  } do
    local t = rules()
    knock(t, ports)
    expect(is_open(t)).is(true)
  end
end)

test("the row takes no longer than that", function()
  for wait, open in pairs { [0.9] = true, [1.1] = false } do
    local t = rules { within = 2 }
    knock(t, { 7000 })
    t:advance(wait)
    knock(t, { 8000 })
    t:advance(wait)
    knock(t, { 9000 })
    expect(is_open(t)).is(open)
  end
end)

test("two who knock at once do not help each other", function()
  local t = rules()
  knock(t, { 7000 }, "192.0.2.8")
  knock(t, { 8000 }, "192.0.2.9")
  knock(t, { 9000 }, "192.0.2.8")
  expect(is_open(t, "192.0.2.8")).is(false)
  expect(is_open(t, "192.0.2.9")).is(false)
end)

test("UDP knocks as well", function()
  local t = rules()
  for _, port in ipairs { 7000, 8000, 9000 } do
    local p = packet { src = "192.0.2.9", dst = "192.0.2.2", udp = { dport = port } }
    expect(t:feed(p, incoming).verdict).is("DROP")
  end
  expect(is_open(t)).is(true)
end)

test("a row that has one port twice", function()
  local t = rules { knock = "7000,8000,7000" }
  knock(t, { 7000, 8000 })
  expect(is_open(t)).is(false)
  knock(t, { 7000 })
  expect(is_open(t)).is(true)
end)

test("other ports, answers and what leaves are left alone", function()
  local t = rules { port = 2222 }
  for p, dir in pairs {
    [syn(22)] = "in", [syn(7001)] = "in", [syn(7000)] = "out", [syn(2222)] = "out",
    [packet { src = "192.0.2.9", dst = "192.0.2.2",
              tcp = { sport = 22, dport = 7000, flags = "SA", ack_seq = 1 } }] = "in",
  } do
    expect(t:feed(p, { dir = dir }).packets).is { p }
  end
  expect(is_open(t, nil, 2222)).is(false)
end)

test("a flood of knockers is forgotten, not remembered for ever", function()
  local t = rules()
  knock(t, { 7000, 8000 }, "192.0.2.9")
  for i = 0, 10100 do
    t:feed(syn(7000, ("10.0.%d.%d"):format(i // 250, i % 250)), incoming)
  end
  knock(t, { 9000 }, "192.0.2.9")
  expect(is_open(t)).is(false)
  knock(t, { 7000, 8000, 9000 })
  expect(is_open(t)).is(true)
end)

test("wrong arguments are said", function()
  expect(function() load_rules("../port-knock.lua") end).raises("wants --arg knock=PORT")
  expect(function() rules { knock = "7000,x" } end).raises("'x' is no port")
  expect(function() rules { knock = "7000,70000" } end).raises("70000")
end)
