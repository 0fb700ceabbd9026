# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/bench: what is compared with what, in turns, and the tables.

A line is a stage with something on it; a table is one kind of traffic over
several lines, in rounds: each round every line once, in an order of its own.
A ratio is taken within a round, and of the rounds the median is told, so what
disturbs the machine for a while disturbs both sides. ± is the half of the
interval that holds the true median in 19 of 20 cases. What others take from a
turn only makes it worse: the best tenth of the turns tells what would be kept on
a quiet machine.
"""
import argparse
import contextlib
import math
import os
import platform
import random
import shutil
import signal
import statistics
import sys
import tempfile

from stage import ROOT, Missing, Sluice, Stage, nfqueue, tun_loop
from net import clean_leftovers

PROGRAMS = os.path.join(ROOT, "build", "bench", "tests")
# What one turn yields, each by this name.
SECONDS, CPU, LOST = "a second", "a second of CPU time", "% lost"

# ---- what is compared -------------------------------------------------------

# Two rules that the traffic, to port 4000, does not match.
NO_MATCH = """
rule { name = "function", match = { proto = "udp", dport = 4001 },
       action = function(pkt) return ACCEPT end }
rule { name = "constant", match = { proto = "tcp", dport = 4002 },
       action = DROP }
"""
BYPASS = """
rule { name = "function", match = { proto = { "tcp", "udp" }, dport = 4000 },
       action = function(pkt) pkt.flow:bypass() end }
"""
LUA = """
rule { name = "function", action = function(pkt) pkt.ip.ttl = 64 end }
"""
SET = """
rule { name = "set", match = { dst = set.file("%s") }, action = DROP }
"""
IN = """
capture { dir = { "out", "in" } }
"""

# The same decisions by hand; what would go to user space gets a mark.
HAND_RULES = """
        udp dport 4001 meta mark set 0x1000 accept
        tcp dport 4002 drop"""
FLOW = "%s . ip saddr . th sport . ip daddr . th dport"
HAND_FLOWS = """
        udp dport 4000 {0} @flows update @flows {{ {0} }} accept
        tcp dport 4000 tcp flags & (fin | syn | rst) == 0 {0} @flows \
            update @flows {{ {0} }} accept
        udp dport 4000 update @flows {{ {0} }}
        tcp dport 4000 update @flows {{ {0} }}"""
FLOWS = """
    set flows {
        type inet_proto . ipv4_addr . inet_service . ipv4_addr . inet_service
        flags dynamic, timeout
        timeout 1m
        size 65536
    }"""
HOOKS = {
    "output": ("ip", "output priority 199", "oif lo accept"),
    "egress": ("netdev", "egress device up0 priority 0", ""),
    "ingress": ("netdev", "ingress device up0 priority 0", ""),
}


def by_hand(hooks, flows=False):
    """nftables text: one base chain a hook."""
    out = []
    for hook in hooks:
        family, where, first = HOOKS[hook]
        key = FLOW % ("ip protocol" if family == "ip" else "meta l4proto")
        out.append("table %s byhand%s {%s\n    chain %s {\n"
                   "        type filter hook %s\n        %s%s\n    }\n}" % (
                       family, hook, FLOWS if flows else "", hook, where,
                       first, HAND_FLOWS.format(key) if flows
                       else HAND_RULES))
    return "\n".join(out)


class Line:
    """One line of a table. hand: the line that decides the same by hand."""

    def __init__(self, name, make, hand=None, promised={}):
        self.name, self.make, self.hand = name, make, hand
        self.promised = promised  # {kind: (least ratio, of what)}


def plain(bench):
    return bench.stage(Stage)


def nft(*args, **kw):
    def make(bench):
        stage = bench.stage(Stage)
        stage.near.nft(by_hand(*args, **kw))
        return stage
    return make


def peer(start, how=None):
    def make(bench):
        stage = bench.stage(Stage)
        try:
            start(stage, how)
        except Missing:
            stage.close()
            raise
        return stage
    return make


def sluice(rules, *options):
    """rules: text, or what makes it of the bench."""
    def make(bench):
        text = rules(bench) if callable(rules) else rules
        return bench.stage(Sluice, bench.sluice, bench.file(text),
                           list(options))
    return make


NONE, AGAIN = Line("none", plain), Line("none, again", plain)
KEPT = {"tcp": (0.97, "none"), "tcp-received": (0.97, "none"),
        "sent": (0.98, "hand"), "received": (0.98, "hand")}
ROUTE, WIRE = ("--capture", "route"), ("--capture", "wire")

HAND_OUT = Line("by hand, output", nft(["output"]))
HAND_BOTH = Line("by hand, output and egress", nft(["output", "egress"]))
HAND_WIRE = Line("by hand, egress", nft(["egress"]))
HAND_IN = Line("by hand, egress and ingress", nft(["egress", "ingress"]))
FLOWS_BOTH = Line("flows by hand, output and egress",
                  nft(["output", "egress"], flows=True))
FLOWS_WIRE = Line("flows by hand, egress", nft(["egress"], flows=True))
FLOWS_IN = Line("flows by hand, egress and ingress",
                nft(["egress", "ingress"], flows=True))
PLAN_OUT = [
    Line("no rule matches, by route", sluice(NO_MATCH, *ROUTE), HAND_BOTH,
         KEPT),
    Line("no rule matches, by wire", sluice(NO_MATCH, *WIRE), HAND_WIRE, KEPT),
    Line("bypassed, by route", sluice(BYPASS, *ROUTE), FLOWS_BOTH, KEPT),
    Line("bypassed, by wire", sluice(BYPASS, *WIRE), FLOWS_WIRE, KEPT),
]
PLAN_IN = [
    Line("no rule matches, out and in", sluice(NO_MATCH + IN, *WIRE), HAND_IN,
         KEPT),
    Line("bypassed, out and in", sluice(BYPASS + IN, *WIRE), FLOWS_IN, KEPT),
]
USER = [
    Line("Lua, by route", sluice(LUA, *ROUTE)),
    Line("Lua, by wire", sluice(LUA, *WIRE)),
    Line("Lua, by route, no offload", sluice(LUA, "--no-offload", *ROUTE)),
    Line("Lua, by wire, no offload", sluice(LUA, "--no-offload", *WIRE)),
]
PEERS = [
    Line("NFQUEUE, accepting", peer(nfqueue)),
    Line("TUN copied, no rules", peer(tun_loop, "offload")),
    Line("TUN copied, no offload", peer(tun_loop, "plain")),
]
USER_IN = [
    Line("Lua, in by wire", sluice(LUA + IN, *WIRE)),
    Line("Lua, in by wire, no offload",
         sluice(LUA + IN, "--no-offload", *WIRE)),
    PEERS[0],
]


def members(n):
    """A rule that drops n addresses: half of them among those that the
    traffic goes to, none of which is one."""
    def make(bench):
        draw = random.Random(n)
        out = set()
        while len(out) < n:
            if len(out) % 2:
                # 198.19.0.0/16 is next to what traffic.c sends to.
                out.add("198.19.%d.%d" % (draw.randrange(256),
                                          draw.randrange(256)))
            else:
                out.add("%d.%d.%d.%d" % (draw.randrange(1, 198),
                                         draw.randrange(256),
                                         draw.randrange(256),
                                         draw.randrange(256)))
        path = bench.path("members%d.txt" % n, "\n".join(sorted(out)) + "\n")
        return SET % path
    return make


MANY = 100000
SETS = {way: [Line("%d members, %s" % (n, way), sluice(members(n), *option))
              for n in (10, MANY)]
        for way, option in (("by route", ROUTE), ("by wire", WIRE))}

TITLES = {
    "tcp": ("TCP sent, one stream", "Gbit", 8e-9),
    "tcp-received": ("TCP received, one stream", "Gbit", 8e-9),
    "sent": ("UDP sent, 64 bytes a datagram", "thousand packets", 1e-3),
    "received": ("UDP received, 64 bytes a datagram", "thousand packets",
                 1e-3),
    "spread": ("UDP sent to 4096 addresses", "thousand packets", 1e-3),
}

# (part, kind, what is judged, are sender and receiver on one CPU, lines)
# On one CPU, and by its time, a turn is not disturbed by who else wants the
# other one; user space needs another CPU, and then it is the clock that
# counts.
TABLES = [
    ("plan", "tcp", CPU, True,
     [NONE, AGAIN, HAND_BOTH, HAND_WIRE] + PLAN_OUT),
    ("plan", "tcp-received", CPU, True, [NONE, AGAIN, HAND_IN] + PLAN_IN),
    ("plan", "sent", CPU, True,
     [NONE, AGAIN, HAND_OUT, HAND_BOTH, HAND_WIRE, FLOWS_BOTH, FLOWS_WIRE] +
     PLAN_OUT),
    ("plan", "received", CPU, True,
     [NONE, AGAIN, HAND_IN, FLOWS_IN] + PLAN_IN),
    ("user", "tcp", SECONDS, False, [NONE, AGAIN] + USER + PEERS),
    ("user", "sent", SECONDS, False, [NONE, AGAIN] + USER + PEERS),
    ("user", "received", SECONDS, False, [NONE, AGAIN] + USER_IN),
    ("sets", "spread", CPU, True,
     [NONE, AGAIN] + SETS["by route"] + SETS["by wire"]),
]
ROUNDS = {"plan": 41, "user": 9, "sets": 25}
MS = {"plan": 100, "user": 300, "sets": 100}

# ---- figures ----------------------------------------------------------------


def spread_of(values):
    """(median, ±)."""
    v = sorted(values)
    n = len(v)
    k = max(0, math.floor(n / 2 - 0.98 * math.sqrt(n)))
    return statistics.median(v), (v[n - 1 - k] - v[k]) / 2


def best_of(values):
    """What a tenth of the turns reached."""
    return sorted(values)[math.ceil(0.9 * len(values)) - 1]


def verdict(median, limit, quiet, at_least=True):
    kept = (lambda v: v >= limit) if at_least else (lambda v: v <= limit)
    return "kept" if kept(median) else \
        "kept when undisturbed (%.3f)" % quiet if kept(quiet) else "NOT KEPT"


class Figures:
    """What the turns of one table brought."""

    def __init__(self, unit):
        self.unit = unit
        self.turns = {}     # line name: [(a second, a CPU second)]

    def add(self, name, seconds, sent, arrived, *cpu):
        self.turns.setdefault(name, []).append(
            {SECONDS: arrived / seconds * self.unit,
             CPU: arrived / sum(cpu) * self.unit,
             LOST: max(0, 100 * (1 - arrived / sent)) if sent else 0})

    def of(self, name, what):
        return [t[what] for t in self.turns[name]]

    def ratio(self, name, base, what):
        """(median, ±) over the rounds."""
        return spread_of([a / b for a, b in zip(self.of(name, what),
                                                self.of(base, what)) if b])

    def quiet(self, name, base, what):
        return best_of(self.of(name, what)) / best_of(self.of(base, what))


def ratio_text(r):
    return "%.3f ±%.3f" % r


def promise_text(figures, line, kind, what, base):
    limit, of = line.promised.get(kind, (None, None))
    if not base.get(of):
        return ""
    return "%.2f of %s: %s" % (
        limit, "by hand" if of == "hand" else of,
        verdict(figures.ratio(line.name, base[of], what)[0], limit,
                figures.quiet(line.name, base[of], what)))


def show(table, figures, lines):
    _, kind, what, one_cpu, _ = table
    title, unit, _ = TITLES[kind]
    other = SECONDS if what == CPU else CPU
    print("\n%s: %s %s\n(sender and receiver on %s; in brackets: %s)" % (
        title, unit, what, "one CPU" if one_cpu else "a CPU each", other))
    form = "%-33s %8s %8s %8s %9s %6s  %-12s  %-12s  %s"
    hands = any(line.hand for line in lines)
    print((form % ("", "median", "least", "most", "", LOST, "of none",
                   "of by hand" if hands else "(of none)",
                   "promised" if hands else "")).rstrip())
    for line in lines:
        v = figures.of(line.name, what)
        base = {"none": line is not NONE and NONE.name,
                "hand": line.hand and line.hand.name in figures.turns and
                line.hand.name}
        ratios = {of: ratio_text(figures.ratio(line.name, name, what))
                  if name else "" for of, name in base.items()}
        print((form % (
            line.name, "%.1f" % statistics.median(v), "%.1f" % min(v),
            "%.1f" % max(v),
            "(%.1f)" % statistics.median(figures.of(line.name, other)),
            "%.1f" % statistics.median(figures.of(line.name, LOST)),
            ratios["none"], ratios["hand"] if hands else
            ratio_text(figures.ratio(line.name, NONE.name, other))
            if line is not NONE else "",
            promise_text(figures, line, kind, what, base))).rstrip(),
            flush=True)


def show_sets(figures):
    """ns a packet; promised is the ratio of many members to few."""
    print()
    for way, (few, many) in SETS.items():
        if few.name not in figures.turns or many.name not in figures.turns:
            continue
        r = figures.ratio(few.name, many.name, CPU)
        ns = [1e6 / statistics.median(figures.of(l.name, CPU))
              for l in (NONE, few, many)]
        print("a packet %-9s none %.0f ns, 10 members %.0f ns, %d members "
              "%.0f ns: %s times, promised at most 1.2: %s" % (
                  way, ns[0], ns[1], MANY, ns[2], ratio_text(r),
                  verdict(r[0], 1.2, figures.quiet(few.name, many.name, CPU),
                          at_least=False)), flush=True)


# ---- the rounds -------------------------------------------------------------

class Bench:
    def __init__(self, options, tmp):
        self.options, self.tmp = options, tmp
        self.sluice = options.sluice
        self.stages = {}
        self.texts = {}
        cpus = sorted(os.sched_getaffinity(0))
        self.cpus = (cpus[0], cpus[-1])

    def stage(self, kind, *args):
        return kind(PROGRAMS, self.tmp, self.options.congestion, *args)

    def path(self, name, text):
        path = os.path.join(self.tmp, name)
        if not os.path.exists(path):
            with open(path, "w") as f:
                f.write(text)
        return path

    def file(self, text):
        n = self.texts.setdefault(text, len(self.texts))
        return self.path("rules%d.lua" % n, text)

    def open(self, lines):
        """Stages for these lines. Those that this machine cannot have are
        named and left out."""
        able = []
        for line in lines:
            try:
                if line.name not in self.stages:
                    self.stages[line.name] = line.make(self)
                able.append(line)
            except Missing as e:
                print("left out: %s: %s" % (line.name, e), flush=True)
        return able

    def close(self):
        """What came to user space is the proof of what was measured."""
        seen = []
        for name, stage in self.stages.items():
            if isinstance(stage, Sluice):
                seen.append("%s %d" % (name, stage.end()))
        self.abandon()
        if seen:
            print("\npackets that came to user space: " + "; ".join(seen))

    def abandon(self):
        for stage in self.stages.values():
            stage.close()
        self.stages = {}

    def rounds(self, table, lines):
        part, kind, _, one_cpu, _ = table
        figures = Figures(TITLES[kind][2])
        cpus = (self.cpus[0], self.cpus[0 if one_cpu else 1])
        draw = random.Random(len(lines))
        for n in range(self.options.rounds or ROUNDS[part]):
            order = list(lines)
            draw.shuffle(order)
            for line in order:
                figures.add(line.name, *self.stages[line.name].turn(
                    kind, self.options.ms or MS[part], cpus))
            if sys.stderr.isatty():
                print("\r%s, round %d " % (TITLES[kind][0], n + 1), end="",
                      file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        return figures

    def loading(self):
        """How long starting takes with a set of many, beyond one of none."""
        rounds = 7
        print("\nseconds until it captures (median of %d; in brackets: of CPU "
              "time)" % rounds)
        for way, option in ("by route", ROUTE), ("by wire", WIRE):
            took, cpu = {0: [], MANY: []}, {0: [], MANY: []}
            for _ in range(rounds):
                for n in took:
                    stage = sluice(members(n), *option)(self)
                    try:
                        took[n].append(stage.started)
                        cpu[n].append(stage.started_cpu)
                        stage.end()
                    finally:
                        stage.close()
            none, many = [(statistics.median(took[n]),
                           statistics.median(cpu[n])) for n in took]
            more = [b - a for a, b in zip(none, many)]
            print("%-9s empty set %.3f (%.3f), %d members %.3f (%.3f): %.3f "
                  "(%.3f) more, promised less than 1: %s" % (
                      way, *none, MANY, *many, *more,
                      verdict(more[0], 1, more[1], at_least=False)),
                  flush=True)

    def run(self):
        o = self.options
        for part in ROUNDS:
            tables = [t for t in TABLES if t[0] == part and
                      (not o.parts or part in o.parts) and
                      (not o.kinds or t[1] in o.kinds)]
            if not tables:
                continue
            print("\n== %s, %d rounds of %d ms" % (
                part, o.rounds or ROUNDS[part], o.ms or MS[part]),
                flush=True)
            able = [self.open(t[4]) for t in tables]
            for table, lines in zip(tables, able):
                figures = self.rounds(table, lines)
                show(table, figures, lines)
                if part == "sets":
                    show_sets(figures)
            self.close()
            if part == "sets":
                self.loading()


def parse():
    p = argparse.ArgumentParser(
        prog="scripts/bench", description="what sluice costs the traffic of "
        "a host (for a machine with nothing else running)")
    p.add_argument("words", nargs="*", metavar="PART",
                   help="parts: %s; kinds of traffic: %s" % (
                       ", ".join(ROUNDS), ", ".join(TITLES)))
    p.add_argument("-n", dest="rounds", type=int, help="rounds")
    p.add_argument("-t", dest="ms", type=int, help="ms a turn")
    p.add_argument("--congestion", default="cubic",
                   help="congestion control of the namespaces (cubic)")
    p.add_argument("--sluice", help="another sluice than the one built",
                   default=os.path.join(ROOT, "build", "bench", "sluice"))
    o = p.parse_args()
    o.parts = [w for w in o.words if w in ROUNDS]
    o.kinds = [w for w in o.words if w in TITLES]
    for w in o.words:
        if w not in ROUNDS and w not in TITLES:
            p.error("%s is no part and no kind of traffic" % w)
    return o


def main():
    # A signal is an end like any other: namespaces are taken away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    o = parse()
    if os.geteuid():
        sys.exit("bench: network namespaces need root")
    clean_leftovers()
    tmp = tempfile.mkdtemp(prefix="slt%dx" % os.getpid())
    os.chmod(tmp, 0o755)
    bench = Bench(o, tmp)
    try:
        print("Linux %s, %d CPUs, congestion control %s, load %.1f before" % (
            platform.release(), os.cpu_count(), o.congestion,
            os.getloadavg()[0]))
        bench.run()
    except KeyboardInterrupt:
        sys.exit("bench: interrupted")
    finally:
        with contextlib.suppress(Exception):
            bench.abandon()
        shutil.rmtree(tmp, ignore_errors=True)


if __name__ == "__main__":
    main()
