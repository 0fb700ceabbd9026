local t = load_text("rule { action = DROP }")
