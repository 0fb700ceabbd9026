-- http-host-block.lua: refuse plain HTTP requests to some hosts, by the Host
-- field of a connection's first request, whatever address it goes to. Client
-- and server get a RST.
--
-- Arguments:  --arg names=NAME,NAME,...   these and all below them (needed)
--             --arg port=PORT             (80)
--
-- Not seen: later requests over the same connection; and what opening.lua
-- says about its reach.
--
-- Try it:  sudo sluice run rules/http-host-block.lua --arg names=example.com \
--            -- curl http://www.example.com/

local is_listed = require("dns").listed(args.names or
  error("http-host-block.lua wants --arg names=NAME,...", 0))

-- The hosts of a request (RFC 9112, 3.2): that of an absolute URL, and that of
-- the field. nil: not there yet; false: no request, or without a host.
local function hosts(text)
  if not text:find("^%s*%u+[ \t]") then
    if #text < 16 and text:find("^%s*%u*$") then return nil end
    return false
  end
  local url = text:match("^%s*%u+%s+%a+://([^/%s]*)")
  local field = text:match("\n[Hh][Oo][Ss][Tt][ \t]*:[ \t]*([^\r\n]*)\r?\n")
  if field then return { field, url } end
  if text:find("\n\r?\n") then return url and { url } or false end
  return nil
end

require("opening").rule("http-host-block", args.port or 80, function(text)
  local found = hosts(text)
  if not found then return found end
  for _, name in ipairs(found) do
    name = name:gsub("^.*@", ""):gsub("%s+$", ""):gsub(":%d*$", ""):gsub("%.$", "")
    if is_listed(name:lower()) then return true end
  end
  return false
end)
