-- on_error(DROP), and more errors than are said.
on_error(DROP)
rule { name = "condition", where = function(pkt) return pkt.dport % 2 == 0 and pkt.icmp.type end, action = ACCEPT }
rule { name = "action", action = function(pkt) error("port " .. pkt.dport) end }
