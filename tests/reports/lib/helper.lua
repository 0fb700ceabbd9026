local helper = { known = set {} }

function helper.visit(pkt)
  helper.known:add(pkt.src)
  visits = (visits or 0) + 1
  return cuont("visits")
end

rule { name = "module", where = function(pkt) return pkt.ttl == 3 and pkt.ip.ttl == 3 end, action = DROP }
rule { name = "plain", where = function(pkt) return pkt.ip.ttl == 3 end, action = DROP }

return helper
