-- audit.lua: show every packet this host sends and change nothing.
--
-- Without an action a rule decides nothing; this one only counts, so that the
-- summary at the end says how much there was.
--
-- Try it:  sudo sluice run --audit rules/audit.lua -- ping -c 3 192.0.2.1

rule {
  name   = "audit",
  action = ACCEPT,
}
