#!/usr/bin/env sluice
-- Names: where they are local and where they are not.
local function outer(a, ...)
  local b <const> = a
  do local c = b end
  log(c)                 -- out of its block
  for i = 1, 3 do log(i) end
  log(i)                 -- behind the loop
  return function(d) return a + b + d + e end
end
local function never() return { y = z, [w] = 1, print } end
local s, t = [[ not = a.name ]], "nor \" this.one" -- nor this.name
--[==[ nor
 ]] this ]==]
function late() return later end
later = outer
rule { name = "late", action = function(pkt)
  local n = 0x1p-3 .. 3 // 2
  tabel.concat { never, late, s, t, n }
  string.format, other = 1, 2
  function named() end
end }
