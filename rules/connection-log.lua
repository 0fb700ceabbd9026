-- connection-log.lua: a line for each connection when it has ended, with the
-- packets and bytes of both directions and how long it took.
--
-- Arguments:  --arg idle=SECONDS          no packet for so long is the end (60)
--             --arg proto=, dst=, dport=  only these (all)
--
-- A TCP connection ends with the RST, or with the last packet of its farewell
-- and a second of silence; for UDP, pings and the rest silence is the end.
-- Five lines a second is the most that is logged; the counters at the end have
-- all. What has not ended when sluice does is not logged.
--
-- Try it:  sudo sluice run rules/connection-log.lua -- \
--            sh -c 'curl -s http://192.0.2.1/ >/dev/null; sleep 3'
--          tcp 192.0.2.2:40312 <> 192.0.2.1:80 10 packets 873 bytes 0.042 s

local fault = require "fault"

local idle = fault.whole("idle", 60, 1, 1e6)

-- Connections that have not ended, more than which are not looked at; and
-- seconds, counted from the beginning.
local MANY = 10000
local open, opened, seconds = {}, 0, 0

local function line(c)
  open[c] = nil
  opened = opened - 1
  local bytes = c.bytes - c.bytes_before
  count("connections")
  count("connection-bytes", bytes)
  log(("%s %d packets %d bytes %.3f s"):format(
    c.name, c.packets - c.packets_before, bytes, c.last - c.first))
end

-- What is known of a connection is kept with it. One that goes on after it was
-- silent for too long gets another line.
local function begin(c, flow, now)
  if opened == MANY then
    count("connections-not-logged")
    return false
  end
  c.name = c.name or tostring(flow):gsub("^flow ", "")
  c.first, c.quiet = now, idle
  c.packets_before, c.bytes_before = c.packets or 0, c.bytes or 0
  open[c] = true
  opened = opened + 1
  return true
end

local function see(pkt)
  local flow, tcp = pkt.flow, pkt.tcp
  if not flow then return end
  local c = flow.data
  if c.ended or not open[c] and not begin(c, flow, pkt.time) then return end
  c.last, c.second, c.packets, c.bytes = pkt.time, seconds, flow.packets, flow.bytes
  if not tcp then return end
  if tcp.fin then c[pkt.dir] = true end
  if c["out"] and c["in"] then c.quiet = 1 end
  if tcp.rst then
    c.ended = true
    line(c)
  end
end

every(1, function()
  seconds = seconds + 1
  for c in pairs(open) do
    if seconds - c.second > c.quiet then
      c.ended = c["out"] and c["in"]
      line(c)
    end
  end
end)

capture { dir = { "out", "in" } }

rule {
  name   = "connection",
  match  = { dir = "out", proto = args.proto, dst = args.dst, dport = args.dport },
  action = see,
}

rule {
  name   = "connection-in",
  match  = { dir = "in", proto = args.proto, src = args.dst, sport = args.dport },
  action = see,
}
