#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""memory.py SLUICE: little memory, and a little more each time, until all is
well. Nothing crashes, what fails says so in one line, and no packet is lost
but by a rule that says so: one whose rule found no memory goes on as it came.

First the tests of the rule library by "sluice test", then rules of it over
the captures of the golden tests by "sluice replay"."""

import collections
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
RULES = os.path.join(os.path.dirname(HERE), "rules")
LEAST, MOST = 1 << 16, 16 << 20  # bytes; the least that can be asked for
# A test that feeds thousands of packets to rules without memory takes long;
# from then on it waits for the last step.
PATIENCE = 3
# Rules whose verdict on a packet does not depend on those before it, with
# captures that they do something to.
STATELESS = {
    "block-list": ["--arg", "file=blocked.txt"],
    "dns-sinkhole": ["--arg", "names=example.com,test."],
    "redirect": ["--arg", "from=203.0.113.1:80", "--arg",
                 "to=198.51.100.9:8080"],
    "fake-hops": [], "icmp-echo": [], "mss-clamp": [], "reject-port": [],
    "ttl": [], "dscp": [],
}
# Keeps all it sees, and drops every third.
HUNGRY = """
local kept = {}
rule { name = "hungry", action = function(pkt)
  for i = 1, 50 do kept[#kept + 1] = { pkt:clone() } end
  if pkt.ip and pkt.ip.id % 3 == 0 then return DROP end
end }
"""

faults = []


def fault(what, *about):
    faults.append(what % about)
    print("memory: " + faults[-1])


def run(sluice, *args, seconds=60):
    """(status, output, errors), None where it took longer."""
    try:
        r = subprocess.run([sluice, *map(str, args)], capture_output=True,
                           text=True, errors="replace", timeout=seconds,
                           stdin=subprocess.DEVNULL,
                           env=dict(os.environ, SLUICE_RULES=RULES))
    except subprocess.TimeoutExpired:
        return None
    what = " ".join(map(str, args))
    for line in r.stderr.splitlines():
        if not line.startswith("sluice: ") or len(line) > 500:
            fault("%s: %s", what, r.stderr[:2000])
            break
    if r.returncode not in (0, 1, 2):
        fault("%s: status %d", what, r.returncode)
    return r.returncode, r.stdout, r.stderr


def steps():
    memory = LEAST
    while memory < MOST:
        yield memory
        memory += memory // (8 if memory < 1 << 20 else 2)
    yield MOST


# ---- sluice test -----------------------------------------------------------

def judge_tap(what, out, status):
    """Every test has a line, and each that failed says why."""
    results = re.findall(r"^(not ok|ok) (\d+) - ", out, re.M)
    plan = re.search(r"^1\.\.(\d+)$", out, re.M)
    if not plan or [int(n) for _, n in results] != list(
            range(1, int(plan.group(1)) + 1)):
        fault("%s: the plan does not hold:\n%s", what, out[-500:])
    failed = sum(r == "not ok" for r, _ in results)
    reasons = out.count("\n  message: |\n    ")
    if (status == 0) != (failed == 0) or status == 1 and reasons != failed:
        fault("%s: status %d, %d failed, %d reasons", what, status, failed,
              reasons)
    return failed


def library(sluice):
    left = sorted(glob.glob(os.path.join(RULES, "tests", "*_test.lua")))
    slow, runs, not_ok = [], 0, 0
    for memory in steps():
        for path in left + (slow if memory == MOST else []):
            name = os.path.basename(path)
            r = run(sluice, "test", "--memory", memory, path,
                    seconds=PATIENCE if memory < MOST else 120)
            runs += 1
            if r is None:
                left.remove(path)
                slow.append(path)
                continue
            status, out, err = r
            what = "test --memory %d %s" % (memory, name)
            if status == 2:
                # The one line says that there is too little of it.
                if "memory" not in err or err.count("\n") != 1:
                    fault("%s: %s", what, err)
                continue
            not_ok += judge_tap(what, out, status)
            if status == 0 and path in left:
                left.remove(path)
            elif memory == MOST and status:
                fault("%s: %s", what, out[-1000:])
    print("memory: %d runs of the library's tests, %d tests failed for want "
          "of it, %d files waited for the end" % (runs, not_ok, len(slow)))


# ---- sluice replay ---------------------------------------------------------

def records(data):
    """The records of a capture as scapy writes it, and their frames."""
    at = 24
    while at < len(data):
        n = 16 + int.from_bytes(data[at + 8:at + 12], sys.byteorder)
        yield data[at:at + n], data[at + 16:at + n]
        at += n


def capture(folder):
    """All IPv4 frames of the golden tests in one file."""
    golden = os.path.join(HERE, "golden")
    cases = sorted(os.path.basename(os.path.dirname(p))
                   for p in glob.glob(os.path.join(golden, "*", "input.py")))
    subprocess.run(["/usr/bin/python3", "frames.py", "make", folder, *cases],
                   cwd=golden, check=True)
    path, whole = os.path.join(folder, "all.pcap"), b""
    for case in cases:
        with open(os.path.join(folder, case + ".pcap"), "rb") as f:
            data = f.read()
        if int.from_bytes(data[20:24], sys.byteorder) != 1:  # Ethernet
            continue
        whole = whole or data[:24]
        whole += b"".join(record for record, frame in records(data)
                          if frame[12:14] == b"\x08\x00")
    with open(path, "wb") as f:
        f.write(whole)
    return path


def frames(path):
    with open(path, "rb") as f:
        return [frame for _, frame in records(f.read())]


def replay(sluice, memory, path, rule, args, out):
    """The verdicts, and what was written; None: the rules did not load."""
    what = "replay --memory %d %s" % (memory, os.path.basename(rule))
    status, said, err = run(sluice, "replay", "--memory", memory, "--json",
                            "-w", out, *args, rule, path)
    if status == 2:
        if "memory" not in err or err.count("\n") != 1:
            fault("%s: %s", what, err)
        return None
    if status:
        fault("%s: status %d: %s", what, status, err)
    events = [json.loads(line) for line in said.splitlines()]
    errors = re.search(r"(\d+) errors in rules$", err, re.M)
    if not errors:
        fault("%s: it does not say how many errors: %s", what, err)
    for line in err.splitlines():
        if ".lua:" in line and "memory" not in line:
            fault("%s: another error: %s", what, line)
    return ([e for e in events if "verdict" in e],
            collections.Counter(frames(out)), int(errors.group(1)))


def nothing_is_lost(what, before, got, enough):
    """A packet has the verdict that it has with enough memory, or else goes
    on as it came."""
    events, written, _ = got
    if len(events) != len(enough[0]):
        fault("%s: %d packets of %d", what, len(events), len(enough[0]))
        return
    kept = collections.Counter()
    for e, f, frame in zip(events, enough[0], before):
        if e == f and e["verdict"] != "ACCEPT":
            continue
        if e["verdict"] != "ACCEPT":
            fault("%s: %s instead of %s", what, e, f)
        if "changed" not in e and "payload_changed" not in e and \
                "options_changed" not in e:
            kept[frame] += 1
        elif e != f:
            fault("%s: changed, and otherwise: %s instead of %s", what, e, f)
    if kept - written:
        fault("%s: %d packets were not written", what,
              (kept - written).total())


def replays(sluice, folder):
    path = capture(folder)
    out, hungry = (os.path.join(folder, n) for n in ("out.pcap",
                                                     "hungry.lua"))
    with open(hungry, "w") as f:
        f.write(HUNGRY)
    with open(os.path.join(folder, "blocked.txt"), "w") as f:
        f.write("198.51.100.0/24\n")
    os.chdir(folder)
    rules = [(os.path.join(RULES, name + ".lua"), args)
             for name, args in STATELESS.items()] + [(hungry, [])]
    runs, failed, errors = 0, 0, 0
    for rule, args in rules:
        enough = replay(sluice, MOST * 4, path, rule, args, out)
        before = frames(path)
        if not enough or len(enough[0]) != len(before):
            fault("%s: enough memory is not enough", rule)
            continue
        for memory in steps():
            if memory > 1 << 21:
                break
            got = replay(sluice, memory, path, rule, args, out)
            runs += 1
            if got is None:
                failed += 1
                continue
            errors += got[2] - enough[2]
            nothing_is_lost("replay --memory %d %s" % (
                memory, os.path.basename(rule)), before, got, enough)
            if got[0] == enough[0]:
                break
    print("memory: %d replays, %d times the rules did not load, %d calls "
          "failed for want of it" % (runs, failed, errors))
    if not failed or not errors:
        fault("no replay met the end of memory")


def main():
    if len(sys.argv) != 2:
        sys.exit("which sluice?")
    try:
        import scapy.all  # noqa: F401
    except ImportError:
        print("memory: skipped: no scapy (apt install python3-scapy)")
        return 77
    began = time.monotonic()
    sluice = os.path.realpath(sys.argv[1])
    library(sluice)
    with tempfile.TemporaryDirectory() as folder:
        replays(sluice, folder)
        os.chdir(HERE)
    print("memory: %d faults, %.0f s" % (len(faults),
                                         time.monotonic() - began))
    return 1 if faults else 0


sys.exit(main())
