expect(1).is(1)
