test("x", function() expect(1).is(1)
