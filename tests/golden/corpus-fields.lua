-- Writes every field that can be written. Those that say where the headers
-- are, or how much there is, are changed and put back: a packet with another
-- protocol or length is no longer one that can be judged.
local function put(o, k, v) o[k] = v end

-- A header that is cut off has no such field: the next one may be there.
local function set(o, fields)
  for _, f in ipairs(fields) do pcall(put, o, f[1], f[2]) end
end

local function there_and_back(o, k, v)
  local ok, was = pcall(function() return o[k] end)
  if ok and was ~= nil and pcall(put, o, k, v) then pcall(put, o, k, was) end
end

rule {
  name = "fields",
  action = function(pkt)
    local ip, tcp, udp, icmp = pkt.ip, pkt.tcp, pkt.udp, pkt.icmp
    if not ip then return end
    set(ip, { { "dscp", 46 }, { "ecn", 1 }, { "id", 4660 }, { "df", true }, { "ttl", 77 },
              { "src", "203.0.113.5" }, { "dst", "203.0.113.6" } })
    there_and_back(ip, "mf", not ip.mf)
    there_and_back(ip, "frag_offset", 3)
    there_and_back(ip, "proto", 99)
    there_and_back(ip, "len", ip.ihl * 4)
    pcall(put, ip, "options", "\1\1\1\1")
    if tcp then
      set(tcp, { { "sport", 1001 }, { "dport", 1002 }, { "seq", 0xfffffffe }, { "ack_seq", 1004 },
                 { "window", 65535 }, { "urg_ptr", 0 }, { "flags", "PAEC" }, { "fin", true },
                 { "mss", 1200 }, { "wscale", 3 }, { "sack_permitted", true },
                 { "tsval", 5 }, { "tsecr", 6 }, { "options", "\1\1\8\10\0\0\0\1\0\0\0\2" } })
    elseif udp then
      set(udp, { { "sport", 1001 }, { "dport", 1002 } })
      there_and_back(udp, "len", 8)
    elseif icmp then
      set(icmp, { { "id", 1001 }, { "seq", 1002 }, { "mtu", 576 }, { "gateway", "192.0.2.254" } })
      there_and_back(icmp, "type", 15)
      there_and_back(icmp, "code", 9)
      pcall(function() set(icmp.inner.ip, { { "ttl", 9 }, { "id", 99 } }) end)
    end
    -- One byte more, where that may be; else every byte another one.
    local ok, payload = pcall(function() return pkt.payload end)
    if not ok or not payload then return end
    if not pcall(put, pkt, "payload", payload .. "!") then
      pcall(put, pkt, "payload", payload:reverse())
    end
  end,
}
