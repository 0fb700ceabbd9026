-- What mss-clamp.lua promises.

local function syn(mss, flags, options)
  local p = packet { src = "192.0.2.2", dst = "192.0.2.1",
                     tcp = { sport = 4000, dport = 80, flags = flags or "S" } }
  if options then p.tcp.options = options end
  if mss then p.tcp.mss = mss end
  return p
end

test("a SYN and a SYN-ACK announce no more than that", function()
  local t = load_rules("../mss-clamp.lua")
  for _, flags in ipairs { "S", "SA", "SEC" } do
    local p = syn(1460, flags)
    local r = t:feed(p)
    expect(r.verdict).is("ACCEPT")
    p.tcp.mss = 1360
    expect(r.packets).is { p }
  end
end)

test("it is never raised", function()
  local t = load_rules("../mss-clamp.lua", { mss = 1400 })
  for mss, want in pairs { [0] = 0, [536] = 536, [1399] = 1399, [1400] = 1400,
                           [1401] = 1400, [65535] = 1400 } do
    expect(t:feed(syn(mss)).packet.tcp.mss).is(want)
  end
end)

test("a SYN without the option gets none", function()
  local p = syn(nil)
  expect(load_rules("../mss-clamp.lua"):feed(p).packets).is { p }
end)

test("other options stay where they are", function()
  local t = load_rules("../mss-clamp.lua")
  local r = t:feed(syn(nil, "S", hex("01 01 04 02 02 04 05b4 03 03 07 00")))
  expect(r.packet.tcp.options).is(hex("01 01 04 02 02 04 0550 03 03 07 00"))
end)

test("only SYNs are touched, and no RST", function()
  local t = load_rules("../mss-clamp.lua")
  for _, flags in ipairs { "A", "PA", "FA", "R", "SR", "" } do
    local p = syn(1460, flags)
    expect(t:feed(p).packets).is { p }
  end
end)

test("an option that is cut off is left alone", function()
  local t = load_rules("../mss-clamp.lua")
  local p = syn(nil, "S", hex("01 01 02 04"))
  local r = t:feed(p)
  expect(r.error).is(nil)
  expect(r.packets).is { p }
end)
