test("x", function() expect(1).is(1) end)
test("x", function() expect(1).is(1) end)
