-- syn-probe.lua: does a port answer, and how? A SYN made by hand goes out from
-- this host's own address; what answers is printed and compared with what
-- should come. The kernel never sees the answer, so it sends no RST.
--
-- Arguments:  --arg to=ADDRESS:PORT,...    whom to ask (needed)
--             --arg expect=NAME=VALUE,...  what the answer should be, of flags,
--                                          ttl, window, mss, wscale and len
--                                          (flags=SA)
--             --arg timeout=SECONDS        (2)
--             --arg close=yes              end what the SYN began by a RST of
--                                          ours; else the other side repeats
--                                          its answer for a while
--
-- When the program has ended, a repeated answer is the kernel's again, and gets
-- its RST: close=yes, or "-- sleep 60", avoids that.
--
-- Try it:  sudo sluice run rules/syn-probe.lua --arg to=192.0.2.1:80 \
--            --arg expect=flags=SA,mss=1460
--          the status is 1 if an answer is missing or differs

local targets = {}
for addr, port in (args.to or ""):gmatch("([%d.]+):(%d+)") do
  targets[#targets + 1] = { addr = addr, port = tonumber(port) }
end
if #targets == 0 then error("syn-probe.lua wants --arg to=ADDRESS:PORT", 0) end

local expected = {}
for name, value in (args.expect or "flags=SA"):gmatch("(%w+)=(%w+)") do
  expected[#expected + 1] = { name = name, value = value }
end
local timeout = tonumber(args.timeout or 2)

-- What an answer says under the names of --arg expect.
local function read(answer)
  local t = answer.tcp
  return { flags = t.flags, ttl = answer.ip.ttl, window = t.window, mss = t.mss,
           wscale = t.wscale, len = answer.len }
end

-- The differences between an answer and what it should be, as texts.
local function differences(syn, answer)
  if not answer.tcp then return { "an ICMP error" } end
  local list, got = {}, read(answer)
  local function compare(name, is, want)
    if tostring(is) ~= tostring(want) then
      list[#list + 1] = ("%s is %s, not %s"):format(name, is, want)
    end
  end
  if answer.tcp.ack then
    compare("ack_seq", answer.tcp.ack_seq, syn.tcp.seq + 1 & 0xffffffff)
  end
  for _, e in ipairs(expected) do compare(e.name, got[e.name], e.value) end
  return list
end

for _, target in ipairs(targets) do
  task(function()
    local where = target.addr .. ":" .. target.port
    local syn = packet {
      dst = target.addr, df = true,
      tcp = { dport = target.port, flags = "S", mss = 1460, wscale = 7,
              sack_permitted = true },
    }
    local answer, why = sr1(syn, timeout)
    if not answer then
      error(where .. ": " .. (why or "no answer"), 0)
    end
    log(tostring(answer))
    local list = differences(syn, answer)
    if args.close and answer.tcp and answer.tcp.syn then send(answer:rst()) end
    if #list > 0 then error(where .. ": " .. table.concat(list, "; "), 0) end
    log(where .. ": as expected")
  end)
end
