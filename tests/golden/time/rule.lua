-- Time is the file's. What it makes is of that time as well.
local first
rule {
  name = "clock",
  action = function(pkt)
    first = first or pkt.time
    audit(pkt, ("%.6f s"):format(pkt.time - first))
    if pkt.time - first > 3 then return pkt:reply { payload = "late" } end
  end,
}
