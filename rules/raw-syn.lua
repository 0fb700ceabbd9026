-- raw-syn.lua: a SYN that carries data, with every field of both headers set
-- by hand, as an example of how that is done. The answer is shown; it never
-- reaches the kernel, so the kernel sends no RST for it.
--
-- Arguments:  --arg to=ADDRESS:PORT   whom to send it to (needed)
--             --arg from=ADDRESS      the source (this host's own; an answer
--                                     to another one does not come here)
--             --arg data=TEXT         what it carries (hello)
--             --arg sport=PORT        the port it comes from (one that is free)
--             --arg FIELD=NUMBER      another value for one of the fields below
--             --arg timeout=SECONDS   (2)
--
-- Try it:  sudo sluice run rules/raw-syn.lua --arg to=192.0.2.1:80 --arg ttl=9
--          and look at the far side: tcpdump -vv -X tcp

local dst, dport = (args.to or ""):match("^([%d.]+):(%d+)$")
if not dst then error("raw-syn.lua wants --arg to=ADDRESS:PORT", 0) end

local function number(name, default)
  local n = tonumber(args[name] or default)
  return n and math.tointeger(n) or
    error("raw-syn.lua: --arg " .. name .. " wants a number", 0)
end

-- Options as they stand in the header: MSS, SACK permitted, timestamps, no
-- operation, window scale.
local options = string.pack(">BBI2 BB BBI4I4 B BBB",
  2, 4, number("mss", 1460), 4, 2, 8, 10, number("tsval", 1), 0, 1,
  3, 3, number("wscale", 7))

local syn = {
  src         = args.from,
  dst         = dst,
  version     = 4,
  dscp        = number("dscp", 0),
  ecn         = number("ecn", 0),
  id          = number("id", 0x5157),
  df          = number("df", 1) ~= 0,
  mf          = false,
  frag_offset = 0,
  ttl         = number("ttl", 64),
  tcp = {
    dport    = tonumber(dport),
    seq      = number("seq", 0x01020304),
    ack_seq  = number("ack_seq", 0),
    flags    = args.flags or "S",
    window   = number("window", 5840),
    urg_ptr  = number("urg_ptr", 0),
    options  = options,
  },
  payload = args.data or "hello",
}
if args.sport then syn.tcp.sport = number("sport") end
-- Lengths and checksums come out right unless they are named as well.
if args.checksum then syn.tcp.checksum = number("checksum") end

task(function()
  local p = packet(syn)
  local answer, why = sr1(p, tonumber(args.timeout or 2))
  log("sent " .. p.len .. " bytes, data in it: " .. #p.payload)
  if why then error("raw-syn.lua: " .. why, 0) end
  log(answer and "got " .. tostring(answer) or "no answer")
  -- How much of the data was taken: a server without TCP Fast Open takes none.
  if answer and answer.tcp and answer.tcp.ack then
    log("data acknowledged:", answer.tcp.ack_seq - p.tcp.seq - 1 & 0xffffffff)
  end
end)
