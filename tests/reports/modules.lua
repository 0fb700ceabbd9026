-- What is wrong in a module is said of the module.
local helper = require "lib.helper"
rule { name = "r", match = { src = helper.known }, action = function(pkt) helper.visit(pkt) end }
rule { name = "s", action = function(pkt) return nosuch end }
