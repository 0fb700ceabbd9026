-- What the module fault.lua promises to rules that use it.

local function udp(n)
  return packet { src = "192.0.2.2", dst = "192.0.2.1", id = n,
                  udp = { sport = 4000, dport = 53 }, payload = "data" }
end

test("an action may be any rule's, and takes what it is not told from itself", function()
  for _, name in ipairs { "lossy", "duplicate", "reorder", "lag", "throttle", "tamper" } do
    local t = load_text(([[
      local fault = require "fault"
      rule { match = { dport = 53 }, action = fault.%s { seed = 1 } }
    ]]):format(name))
    local came, sent = 0, 0
    for n = 1, 300 do
      local r = t:feed(udp(n))
      expect(r.error).is(nil)
      came, sent = came + #r.packets, sent + #r.sent
    end
    sent = sent + #t:advance(10).sent
    if name == "lossy" then
      expect(came + sent).near(270, 25)
    elseif name == "duplicate" then
      expect(came).is(300)
      expect(sent).near(30, 25)
    else
      expect(came + sent).is(300)
    end
  end
end)

test("two of them do not draw from each other", function()
  local function verdicts(more)
    local t = load_text([[
      local fault = require "fault"
    ]] .. more .. [[
      rule { name = "lossy", action = fault.lossy { percent = 50, seed = 9 } }
    ]])
    local s = ""
    for n = 1, 100 do s = s .. t:feed(udp(n)).verdict:sub(1, 1) end
    return s
  end
  local alone = verdicts("")
  expect(alone).contains("AD")
  expect(verdicts("rule { action = fault.duplicate { percent = 50, seed = 9 } }\n")).is(alone)
  expect(verdicts("rule { action = function() math.random() end }\n")).is(alone)
end)

test("without a seed every run is another", function()
  local function verdicts()
    local t, s = load_rules("../lossy.lua", { percent = 50 }), ""
    for n = 1, 100 do s = s .. t:feed(udp(n)).verdict:sub(1, 1) end
    return s
  end
  expect(verdicts()).is_not(verdicts())
end)

test("there and back have different losses of the same seed", function()
  local t = load_rules("../lossy.lua", { percent = 50, seed = 1, dir = "both" })
  local there, back = "", ""
  for n = 1, 100 do
    there = there .. t:feed(udp(n)).verdict:sub(1, 1)
    back = back .. t:feed(udp(n), { dir = "in" }).verdict:sub(1, 1)
  end
  expect(there).is_not(back)
end)
