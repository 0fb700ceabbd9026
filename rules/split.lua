-- split.lua: lists of destinations decide how a packet goes: straight out, by
-- another interface, or to a proxy on this host. The proxy is given the
-- connection as if the server had opened it, and what it answers reaches the
-- client as the server's; whoever connects notices nothing.
--
-- Arguments:  --arg direct=ENTRY,...  straight out, whatever the others say
--             --arg proxy=ENTRY,...   TCP goes to the proxy; the rest of what
--                                     is sent there is rejected
--             --arg tunnel=ENTRY,...  by the interface
--             --arg direct_file=PATH, proxy_file=PATH, tunnel_file=PATH
--                                     the same from files, an entry a line
--             --arg rest=direct|proxy|tunnel   what is on no list (direct)
--             --arg via=INTERFACE     that of the tunnel
--             --arg port=PORT         that the proxy listens on
--             --arg listen=ADDRESS    an address of this host that it listens
--                                     on (the one the client sends from)
--             --arg user=NAME         whose packets all go straight out: the
--                                     proxy's own, or they come back to it
--
-- An entry is an address, a prefix or a range; "!" in front makes an exception,
-- the longest prefix decides. Where lists overlap, direct comes before proxy
-- before tunnel. A tunnel's other end has to be direct, or its packets go round
-- in it. Multicast and broadcast are direct. The proxy sees as its peer the
-- address that the client wanted. It takes one worker, which is the default.
--
-- Try it:  sudo sluice run rules/split.lua --arg tunnel=198.51.100.0/24 \
--            --arg via=wg0 --arg proxy=203.0.113.0/24 --arg port=8080 -- \
--            curl http://203.0.113.9/

local function list(name)
  local file = args[name .. "_file"]
  local entries = file and set.file(file) or set {}
  for entry in (args[name] or ""):gmatch("[^,%s]+") do entries:add(entry) end
  return entries, args[name] or file
end

local function fail(text) error("split.lua: " .. text, 0) end

local direct = list("direct")
direct:add("224.0.0.0/3")
local proxied, has_proxy = list("proxy")
local tunneled, has_tunnel = list("tunnel")
local rest = args.rest or "direct"
if rest ~= "direct" and rest ~= "proxy" and rest ~= "tunnel" then
  fail("--arg rest is direct, proxy or tunnel")
end
has_proxy = has_proxy or rest == "proxy"
has_tunnel = has_tunnel or rest == "tunnel"
if not (has_proxy or has_tunnel) then
  fail("wants --arg proxy= or --arg tunnel=")
end
if has_tunnel and not args.via then fail("wants --arg via=INTERFACE") end

local port = math.tointeger(tonumber(args.port))
if has_proxy and not (port and port > 0 and port < 65536) then
  fail("wants --arg port=PORT, that of the proxy")
end

-- Connections that the proxy has: by what the client sends, and by what the
-- proxy answers. Forgotten 2 minutes after their end, or 2 hours after the last
-- packet.
local sent, answered = {}, {}
local TICK, IDLE, ENDED = 60, 120, 2

local function key(a, p, b, q) return a .. ":" .. p .. ">" .. b .. ":" .. q end

local function ticks()
  for k, c in pairs(sent) do
    c.ticks = c.ticks + 1
    if c.ticks > (c.ended and ENDED or IDLE) then
      sent[k], answered[c.key] = nil, nil
    end
  end
end
if has_proxy then every(TICK, ticks) end

local function note(c, pkt)
  c.ticks = 0
  if pkt.tcp.rst or pkt.tcp.fin then c.ended = true end
  if pkt.tcp.flags == "S" then c.ended = nil end
end

-- For the proxy the server has the client's port, or else one that no other
-- connection from there has.
local function open(pkt)
  local c = { src = pkt.src, sport = pkt.sport,
              dst = pkt.dst, dport = pkt.dport,
              here = args.listen or pkt.src, port = pkt.sport }
  for _ = 1, 64 do
    c.key = key(c.here, port, c.dst, c.port)
    if not answered[c.key] then
      answered[c.key] = c
      return c
    end
    c.port = math.random(1024, 65535)
  end
end

local function to_proxy(pkt)
  if not pkt.tcp then return DROP end -- a later fragment: its ports are gone
  local k = key(pkt.src, pkt.sport, pkt.dst, pkt.dport)
  local c = sent[k]
  if not c then
    -- What was open before is cut: its beginning went elsewhere.
    if pkt.tcp.flags ~= "S" then return REJECT end
    c = open(pkt)
    if not c then return DROP end
    sent[k] = c
    count("proxied")
  end
  note(c, pkt)
  pkt.src, pkt.sport, pkt.dst, pkt.dport = c.dst, c.port, c.here, port
  return ACCEPT
end

local function to_client(pkt)
  local c = answered[key(pkt.src, pkt.sport, pkt.dst, pkt.dport)]
  if not c then return end
  note(c, pkt)
  pkt.src, pkt.sport, pkt.dst, pkt.dport = c.dst, c.dport, c.src, c.sport
  return ACCEPT
end

if args.user then
  -- What it answers to clients is not meant.
  local but = port and "!" .. port or nil
  rule { name = "split-own",
         match = { dir = "out", user = args.user, sport = but },
         action = ACCEPT }
end

if has_proxy then
  rule { name = "split-answer",
         match = { dir = "out", proto = "tcp", sport = port },
         action = to_client }
end

rule { name = "split-direct", match = { dir = "out", dst = direct },
       action = ACCEPT }

local function proxy(name, dst)
  rule { name = name, match = { dir = "out", proto = "tcp", dst = dst },
         action = to_proxy }
  rule { name = name .. "-not-tcp", match = { dir = "out", dst = dst },
         action = REJECT }
end

local function tunnel(name, dst)
  rule { name = name, match = { dir = "out", dst = dst },
         action = via(args.via) }
end

if args.proxy or args.proxy_file then proxy("split-proxy", proxied) end
if args.tunnel or args.tunnel_file then tunnel("split-tunnel", tunneled) end
if rest == "proxy" then proxy("split-rest") end
if rest == "tunnel" then tunnel("split-rest") end
