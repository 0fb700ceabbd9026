-- sni-block.lua: refuse TLS connections to some hosts, by the server name that
-- the client asks for in the clear (RFC 6066, 3), whatever address it goes to.
-- Client and server get a RST. Found also where the ClientHello is cut into
-- several segments or several TLS records.
--
-- Arguments:  --arg names=NAME,NAME,...   these and all below them (needed)
--             --arg port=PORT             (443)
--             --arg quic=drop             refuse QUIC (UDP) to that port, so
--                                         that clients fall back to TCP
--
-- Not seen: a name inside an encrypted ClientHello, a client that sends none,
-- QUIC; and what opening.lua says about its reach.
--
-- Try it:  sudo sluice run rules/sni-block.lua --arg names=example.com -- \
--            curl https://www.example.com/

local is_listed = require("dns").listed(args.names or
  error("sni-block.lua wants --arg names=NAME,...", 0))
local port = args.port or 443

-- The handshake messages without the records around them (RFC 8446, 5.1), as
-- far as they are there; nil: this is no handshake.
local function handshake(text)
  local parts, at = {}, 1
  while at + 4 <= #text do
    local kind, major, _, n = string.unpack(">BBBI2", text, at)
    if kind ~= 22 or major ~= 3 then
      if at == 1 then return nil end
      break
    end
    parts[#parts + 1] = text:sub(at + 5, at + 4 + n)
    at = at + 5 + n
  end
  return table.concat(parts)
end

-- The server name of a ClientHello (RFC 8446, 4.1.2). nil: more is needed;
-- false: there is none.
local function server_name(text)
  if #text > 0 and text:byte() ~= 22 then return false end
  local msg = handshake(text)
  if not msg then return false end
  if #msg < 4 then return nil end
  local kind, n = string.unpack(">BI3", msg)
  if kind ~= 1 then return false end
  if #msg < 4 + n then return nil end
  msg = msg:sub(5, 4 + n)
  -- Version and random, session, ciphers, compressions, extensions.
  local _, _, _, extensions = string.unpack(">s1s2s1s2", msg, 35)
  local at = 1
  while at + 3 <= #extensions do
    local id, data
    id, data, at = string.unpack(">I2s2", extensions, at)
    if id == 0 then
      -- A list of names; 0 is the one type there is.
      local name_type, name = string.unpack(">Bs2", data, 3)
      return name_type == 0 and name
    end
  end
  return false
end

require("opening").rule("sni-block", port, function(text)
  local ok, name = pcall(server_name, text)
  if not ok then return false end                  -- no ClientHello after all
  if not name then return name end
  return is_listed(name:lower():gsub("%.$", ""))
end)

if args.quic == "drop" then
  rule {
    name   = "sni-block-quic",
    match  = { dir = "out", proto = "udp", dport = port },
    action = REJECT,
  }
elseif args.quic then
  error("sni-block.lua: --arg quic is drop, or left out", 0)
end
