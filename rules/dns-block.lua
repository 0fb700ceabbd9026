-- dns-block.lua: names that do not exist for this host: a DNS question for one
-- of them is answered by us with NXDOMAIN and does not leave.
--
-- Arguments:  --arg names=NAME,NAME,...   these and all below them (needed)
--
-- Over TCP, where a client turns after a broken answer, the connection is
-- refused at the question. Nothing is seen of DNS inside TLS, HTTPS or QUIC.
--
-- Try it:  sluice lab rules/dns-block.lua --arg names=ads.example -- \
--            dig @192.0.2.53 www.ads.example

local dns = require "dns"
local is_listed = dns.listed(args.names or
  error("dns-block.lua wants --arg names=NAME,...", 0))
local NXDOMAIN = 3

rule {
  name   = "dns-block",
  match  = { proto = "udp", dport = 53 },
  action = function(pkt)
    local msg = pkt.payload
    local name, _, stop = dns.question(msg)
    if not name or not is_listed(name) then return end
    return pkt:reply { payload = dns.answer(msg, stop, { rcode = NXDOMAIN }) }
  end,
}

-- There the message stands behind two bytes with its length (RFC 7766).
rule {
  name   = "dns-block-tcp",
  match  = { proto = "tcp", dport = 53 },
  where  = function(pkt)
    local name = dns.question(pkt.payload:sub(3))
    return name and is_listed(name)
  end,
  action = REJECT,
}
