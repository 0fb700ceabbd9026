-- opening.lua: a module for rules that decide about a TCP connection by what
-- its client says first; it has no rules itself.
--
--   local opening = require "opening"
--   opening.rule("name", port, function(text)
--     return ...      -- nil: more is needed; false: let it be; true: refuse
--   end)
--
-- text is what the client has sent so far, put together in its order however
-- it was cut into segments, up to 16 KiB. A refused client gets a RST, and so
-- does the server: it has all but the segment that made the text complete, so
-- it never saw the whole. What remains of a connection that was let be costs
-- one look at its flow a packet.
--
-- Beyond reach: IP fragments, a connection whose beginning was not seen, and
-- a client that sends the same bytes twice and means the other ones (the first
-- copy counts here).
--
-- Used by http-host-block.lua and sni-block.lua.

local opening = {}

local MOST = 16384

-- Puts the segment where it belongs in o: what is next goes to o.text, what
-- is behind a gap waits in o.later.
local function take(o, seq, bytes)
  if #(o.later[seq] or "") < #bytes then o.later[seq] = bytes end
  o.size = o.size + #bytes
  local moved
  repeat
    moved = false
    for at, part in pairs(o.later) do
      local known = o.next - at & 0xffffffff       -- bytes there already
      if known < 0x80000000 then
        o.later[at] = nil
        if known < #part then
          o.text = o.text .. part:sub(known + 1)
          o.next = o.next + #part - known & 0xffffffff
        end
        moved = true
        break
      end
    end
  until not moved
end

-- Tells the server, which would wait for the rest for a long time.
local function reset(pkt, o)
  send(packet { src = pkt.src, dst = pkt.dst, tcp = {
    sport = pkt.sport, dport = pkt.dport, flags = "R", seq = o.at,
  } })
end

function opening.rule(name, port, decide)
  rule {
    name   = name,
    match  = { dir = "out", proto = "tcp", dport = port },
    action = function(pkt)
      local flow, t = pkt.flow, pkt.tcp
      if not t or not flow then return end
      local data, seq = flow.data, t.seq
      local o = data[name]
      if t.syn then
        seq = seq + 1 & 0xffffffff
        data[name] = { next = seq, text = "", later = {}, size = 0 }
        o = data[name]
      end
      if not o or o == "good" then return end
      if o == "refused" then return REJECT end
      local bytes = pkt.payload
      if bytes == "" then return end
      o.at = o.next
      take(o, seq, bytes)
      local verdict = decide(o.text)
      if verdict then
        data[name] = "refused"
        count(name)
        reset(pkt, o)
        return REJECT
      end
      if verdict == false or o.size > MOST then data[name] = "good" end
    end,
  }
end

return opening
