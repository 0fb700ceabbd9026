-- Nothing here deserves a warning, though each rule comes near to one.
capture { dir = { "out", "in" } }

local knocked = set {}
local total = 0
count_all = 0

local function helper(name) return name and _G and tostring(name) end
local t = { rule = 1, pkt = 2, ["where"] = 3; total }
for i, v in ipairs(t) do total = total + i + v end
repeat local done = true until done
goto out
::out::

-- A function between two matches may make another packet of it.
rule { name = "a", match = { dport = 80 }, action = DROP }
rule { name = "b", action = function(pkt) pkt.dport = 80 end }
rule { name = "c", match = { dport = 80, proto = "tcp" }, action = DROP }
-- Overlaps, and does not lie within.
rule { name = "d", match = { ttl = "1-9" }, action = DROP }
rule { name = "e", match = { ttl = "5-10" }, action = DROP }
-- A rule that only rewrites decides nothing.
rule { name = "f", match = { proto = "udp" }, rewrite = { ttl = 9 } }
rule { name = "g", match = { proto = "udp", dport = 53 }, action = DROP }
rule { name = "h", match = { dir = "in", src = knocked }, action = ACCEPT }
rule {
  name = "i", match = { dport = 7000 },
  -- What a match cannot say.
  where = function(pkt) return pkt.sport == pkt.dport end,
  action = function(pkt)
    local self, pkt2 = {}, pkt:clone()
    function self.f(...) return select("#", ...), pkt2 end
    function self:g() return self end
    knocked:add(pkt.src, 10)
    for name, n in pairs { total = total } do log(name, n, helper(name)) end
    return self:g().f(1) and DROP
  end,
}
rule { name = "j", where = function(pkt) return pkt.ip.ttl < 5 or total > 3 end, action = DROP }
rule { name = "k", where = function(pkt) return pkt.tcp and pkt.tcp.syn end, action = DROP }
rule { name = "l", where = function(pkt) return pkt.ip.ttl < 5.5 end, action = DROP }
rule { name = "m", where = function(pkt) log("x") return pkt.dport == 5 end, action = DROP }
