-- Only what a rule accepts goes on; arrivals are not captured, so they pass.
policy(DROP)
rule { name = "ping", match = { proto = "icmp" }, action = ACCEPT }
