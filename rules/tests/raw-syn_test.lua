-- What raw-syn.lua promises.

local function sent(more)
  local args = { to = "198.51.100.9:80" }
  for k, v in pairs(more or {}) do args[k] = v end
  local t = load_rules("../raw-syn.lua", args)
  local r = t:advance(0)
  expect(r.error).is(nil)
  expect(#r.sent).is(1)
  return r.sent[1], t
end

test("every field is what stands in the file", function()
  local p = sent { from = "192.0.2.2", sport = 4000 }
  expect(p).is {
    src = "192.0.2.2", dst = "198.51.100.9",
    version = 4, ihl = 5, dscp = 0, ecn = 0, len = 65, id = 0x5157, df = true, mf = false,
    frag_offset = 0, ttl = 64, proto = "tcp",
    tcp = { sport = 4000, dport = 80, seq = 0x01020304, ack_seq = 0, doff = 10, flags = "S",
            window = 5840, urg_ptr = 0, mss = 1460, sack_permitted = true, tsval = 1,
            tsecr = 0, wscale = 7 },
    payload = "hello",
  }
  expect(p.tcp.options).is(hex("020405b4 0402 080a 00000001 00000000 01 030307"))
end)

test("each can be another", function()
  local p = sent { ttl = 9, dscp = 46, ecn = 3, id = 1, df = 0, seq = 0xffffffff, ack_seq = 5,
                   window = 1, urg_ptr = 7, mss = 536, wscale = 2, tsval = 99, flags = "SUE",
                   data = "GET /", sport = 5 }
  expect(p).is {
    ttl = 9, dscp = 46, ecn = 3, id = 1, df = false, payload = "GET /",
    tcp = { sport = 5, seq = 0xffffffff, ack_seq = 5, window = 1, urg_ptr = 7, mss = 536,
            wscale = 2, tsval = 99, flags = "SUE" },
  }
end)

test("the sums are right, unless one is named", function()
  local p = sent { from = "192.0.2.2", sport = 4000 }
  local again = packet { src = "192.0.2.2", dst = "198.51.100.9", id = 0x5157, df = true,
                         tcp = { sport = 4000, dport = 80, seq = 0x01020304, flags = "S",
                                 window = 5840, options = p.tcp.options },
                         payload = "hello" }
  expect(p.tcp.checksum).is(again.tcp.checksum)
  expect(p.ip.checksum).is(again.ip.checksum)
  expect(sent({ checksum = 0xbeef }).tcp.checksum).is(0xbeef)
end)

test("the answer and how much it took are shown", function()
  for taken = 0, 5, 5 do
    local p, t = sent()
    local r = t:feed(packet {
      src = p.dst, dst = p.src,
      tcp = { sport = 80, dport = p.sport, flags = "SA", seq = 1,
              ack_seq = p.tcp.seq + 1 + taken },
    }, { dir = "in" })
    expect(r.verdict).is("ANSWER")
    expect(r.log[1]).is("sent 65 bytes, data in it: 5")
    expect(r.log[2]).contains("got tcp")
    expect(r.log[3]).is("data acknowledged: " .. taken)
  end
end)

test("silence is told as well", function()
  local _, t = sent { timeout = 1 }
  local r = t:advance(1.1)
  expect(r.error).is(nil)
  expect(r.log[2]).is("no answer")
end)

test("wrong arguments are said", function()
  expect(function() load_rules("../raw-syn.lua") end).raises("wants --arg to=ADDRESS:PORT")
  expect(function() load_rules("../raw-syn.lua", { to = "192.0.2.1:80", ttl = "x" }) end)
    .raises("--arg ttl wants a number")
end)
