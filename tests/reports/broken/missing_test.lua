local t = load_rules("none.lua")
test("x", function() expect(1).is(1) end)
