-- redirect.lua: what is sent to one TCP or UDP address and port goes to
-- another; the answers come back under the first one's name.
--
-- Arguments:  --arg from=ADDRESS:PORT   where it was going (needed)
--             --arg to=ADDRESS:PORT     where it goes (needed)
--             --arg proto=tcp|udp       (tcp)
--
-- Try it:  sudo sluice run rules/redirect.lua --arg from=203.0.113.1:80 \
--            --arg to=198.51.100.9:8080 -- curl http://203.0.113.1/

local function endpoint(name)
  local addr, port = tostring(args[name] or ""):match("^([%d.]+):(%d+)$")
  if not addr then
    error("redirect.lua wants --arg " .. name .. "=ADDRESS:PORT", 0)
  end
  return addr, tonumber(port)
end

local from_addr, from_port = endpoint("from")
local to_addr, to_port = endpoint("to")
local proto = args.proto or "tcp"

capture { dir = { "out", "in" } }

rule {
  name    = "redirect",
  match   = { dir = "out", proto = proto, dst = from_addr, dport = from_port },
  rewrite = { dst = to_addr, dport = to_port },
}

rule {
  name    = "redirect-answer",
  match   = { dir = "in", proto = proto, src = to_addr, sport = to_port },
  rewrite = { src = from_addr, sport = from_port },
}
