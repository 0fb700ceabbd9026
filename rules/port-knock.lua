-- port-knock.lua: a port of this host is closed to everybody but those who
-- knocked: TCP SYNs or UDP datagrams to a secret row of ports, in order. It
-- keeps scanners away; it is no key, for whoever watches can knock alike.
--
-- Arguments:  --arg port=PORT             the port (22)
--             --arg knock=PORT,PORT,...   the row (needed)
--             --arg within=SECONDS        for the whole row (10)
--             --arg seconds=SECONDS       the door stays open (30); connections
--                                         made by then last as long as they like
--
-- Knocks are dropped, right or wrong ones, so that they tell nothing.
--
-- Try it:  sudo sluice run rules/port-knock.lua --arg knock=7000,8000,9000
--          and from elsewhere: for p in 7000 8000 9000; do
--            nc -z -w1 HOST $p; done; ssh HOST

capture { dir = "in" }

local row = {}
for port in (args.knock or ""):gmatch("[^,%s]+") do
  row[#row + 1] = math.tointeger(tonumber(port)) or
    error("port-knock.lua: --arg knock: '" .. port .. "' is no port", 0)
end
if #row == 0 then error("port-knock.lua wants --arg knock=PORT,PORT,...", 0) end
local within  = tonumber(args.within or 10)
local seconds = tonumber(args.seconds or 30)

local open = set {}
local progress, knockers = {}, 0      -- by address: how far, and since when

rule {
  name   = "port-knock-open",
  match  = { dir = "in", proto = "tcp", dport = args.port or 22, src = open },
  action = ACCEPT,
}

-- Only what begins a connection: one that stands is not cut off.
rule {
  name   = "port-knock-closed",
  match  = { dir = "in", proto = "tcp", dport = args.port or 22, tcp_flags = "S/SA" },
  action = DROP,
}

local function step(src, port, now)
  local p = progress[src]
  if not p or now - p.since > within then
    if not p then knockers = knockers + 1 end
    if knockers > 10000 then progress, knockers = {}, 1 end   -- a flood
    p = { at = 0, since = now }
    progress[src] = p
  end
  if port == row[p.at + 1] then
    p.at = p.at + 1
  elseif port ~= row[p.at] then         -- a SYN comes again and again
    p.at, p.since = port == row[1] and 1 or 0, now
  end
  if p.at < #row then return end
  progress[src], knockers = nil, knockers - 1
  open:add(src, seconds)
  count("opened")
  log("port-knock: open for " .. src .. " for " .. seconds .. " s")
end

rule {
  name   = "port-knock-tcp",
  match  = { dir = "in", proto = "tcp", dport = row, tcp_flags = "S/SA" },
  action = function(pkt) step(pkt.src, pkt.dport, pkt.time) return DROP end,
}

rule {
  name   = "port-knock-udp",
  match  = { dir = "in", proto = "udp", dport = row },
  action = function(pkt) step(pkt.src, pkt.dport, pkt.time) return DROP end,
}
