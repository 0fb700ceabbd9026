# SPDX-License-Identifier: GPL-2.0-or-later
"""Random rules meet random packets. What the far side gets, wherever a packet
was decided, is what a model written from the documentation says.

$SLUICE_FUNNEL_SEED (default 1) and $SLUICE_FUNNEL_SETS widen the search. A
failure names the seed of its rule set; $SLUICE_FUNNEL_ONLY=SEED runs that one.
"""
import collections
import contextlib
import dataclasses
import json
import os
import random
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.utils import RawPcapReader, RawPcapWriter

import funnel
from arena import Arena, QuickSluice, Seen, packet_of
from far import EchoServer
from host import FAR, echo_once
from model import ACCEPT, MAYBE, REJECT, judge, match_holds
from sluice import BINARY, assert_no_sanitizer_report

SEED = int(os.environ.get("SLUICE_FUNNEL_SEED", "1"))
ONLY = os.environ.get("SLUICE_FUNNEL_ONLY")


def seeds(count):
    count = int(os.environ.get("SLUICE_FUNNEL_SETS", count))
    return [int(ONLY)] if ONLY else [SEED * 1000000 + i for i in range(count)]


def write_rules(rules, folder):
    text, files = funnel.lua(rules)
    for name, content in files.items():
        with open(os.path.join(folder, name), "w") as f:
            f.write(content)
        os.chmod(os.path.join(folder, name), 0o644)
    path = os.path.join(folder, "funnel.lua")
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o644)
    return path, text


def show(packet, outcome):
    return "  %s\n  is to be: %s by %s, counted by %s\n" % (
        packet, outcome.verdict, outcome.rule, outcome.counted)


def is_answer(raw, packet):
    """What tells the sender of packet that it was rejected, read by scapy."""
    answer, kind = IP(raw), packet.rejectable()
    if answer.dst != packet.src:
        return False
    if kind == "icmp":
        quoted = packet.bytes()[:28 + len(packet.options)]
        return ICMP in answer and answer[ICMP].type == 3 and \
            answer[ICMP].code == 3 and raw[28:].startswith(quoted)
    if TCP not in answer or answer.src != packet.dst:
        return False
    t = answer[TCP]
    if (t.sport, t.dport) != (packet.dport, packet.sport):
        return False
    if "A" in packet.flags:
        return t.flags == "R" and t.seq == packet.ack
    return t.flags == "RA" and t.ack == packet.seq + sum(
        f in "SF" for f in packet.flags) + len(packet.has("payload"))


# -- without a network --------------------------------------------------------

LOCAL = ["10.66.0.1", "10.66.0.77", "10.67.0.1", "10.67.0.99"]


def replay(rules, packets, folder):
    path, text = write_rules(rules, folder)
    pcap, out = (os.path.join(folder, n) for n in ("in.pcap", "out.pcap"))
    w = RawPcapWriter(pcap, linktype=1)
    w.write_header(None)
    for p in packets:
        w.write_packet(b"\2" * 12 + b"\x08\0" + p.bytes() + p.trailer)
    w.close()
    args = [BINARY, "replay", "--json", "-w", out]
    for a in LOCAL + [funnel.GROUP] * (packets[0].dir == "in"):
        args += ["--local", a]
    r = subprocess.run(args + [path, pcap], capture_output=True, text=True,
                       timeout=60)
    assert_no_sanitizer_report(r.stderr)
    assert r.returncode == 0, r.stderr + text
    lines = [json.loads(line) for line in r.stdout.splitlines()]
    return lines, [packet_of(raw[14:]) for raw, _ in RawPcapReader(out)], \
        r.stderr, text


@pytest.mark.slow(600)
def test_replay_equals_the_model(tmp_path):
    pairs = 0
    for seed in seeds(100):
        for direction in ("out", "in"):
            rules = funnel.random_rules(seed)
            if direction == "in" and "in" not in rules.capture:
                continue
            packets = [dataclasses.replace(p, dev=None) for p in
                       funnel.random_packets(seed, 100, direction)
                       if not (p.odd and direction == "in")]
            lines, out, err, text = replay(rules, packets, str(tmp_path))
            assert len(lines) == len(packets), err
            sent = collections.deque(out)
            for p, line in zip(packets, lines):
                o = judge(rules, p)
                what = "seed %d %s\n%s%s\n%s" % (
                    seed, direction, text, show(p, o), line)
                assert line["verdict"] == o.verdict, what
                assert line.get("rule") == o.rule, what
                if o.verdict == ACCEPT:
                    got = sent.popleft()
                    assert got == o.packet.bytes(), "%s\n%s\n%s" % (
                        what, got.hex(), o.packet.bytes().hex())
                elif o.verdict == REJECT and p.rejectable() == MAYBE:
                    if sent and Seen("", sent[0]).answered() == p.id - 1:
                        sent.popleft()
                elif o.verdict == REJECT and p.rejectable():
                    got = sent.popleft()
                    assert is_answer(got, p), "%s\n%s" % (what, IP(got))
                pairs += 1
            assert not sent
    print("%d pairs of rule set and packet, seed %d" % (pairs, SEED))


# -- on a real kernel ---------------------------------------------------------

FAR_DEV = {"up0": "far fu0", "up1": "far fu1"}


def route_dev(dst):
    return "up1" if dst in funnel.FAR_UP1 else "up0"


def live_packets(seed, factor=1):
    """(by, packet) pairs: by the three ways that there are."""
    out, rng = [], random.Random("devices %d" % seed)
    for by, direction, count in (("route", "out", 100), ("wire", "out", 50),
                                 ("wire", "in", 50), ("wire", "forward", 30)):
        for p in funnel.random_packets("%d %s" % (seed, by), count * factor,
                                       direction, len(out), by):
            dev = route_dev(p.dst) if by == "route" else \
                rng.choice(["up0", "up1"])
            out.append((by, dataclasses.replace(p, dev=dev)))
    return out


def expect(rules, by, p):
    """The outcome; where it comes out; how, as alternatives."""
    o = judge(rules, p)
    if o.verdict != ACCEPT:
        return o, None
    if p.dir != "out":
        return o, "ear"
    moved = o.packet.dst != p.dst
    if moved and o.packet.ttl == 254:
        # A limit that docs/operations.md names.
        o.packet = dataclasses.replace(o.packet, ttl=255)
    return o, FAR_DEV[route_dev(o.packet.dst) if moved else p.dev]


def compare(rules, sent, seen):
    """Every packet's outcome is what the model says; the differences."""
    at, answers, wrong, counters = {}, {}, [], collections.Counter()
    for s in seen:
        if s.answered() is not None:
            answers.setdefault(s.answered(), []).append(s)
        elif s.number() is not None:
            at.setdefault(s.number(), []).append(s)
        else:
            wrong.append("unknown at %s: %r" % (s.where, IP(s.raw)))
    for by, p in sent:
        n = p.id - 1  # its number, see Packets
        o, where = expect(rules, by, p)
        counters.update(o.counted)
        want = [(where, o.packet.bytes())] if where else []
        got = [(s.where, s.raw) for s in at.pop(n, [])]
        told = answers.pop(n, [])
        if got != want:
            wrong.append("%s %sgot  %s\nwant %s" % (
                by, show(p, o), [(w, r.hex()) for w, r in got],
                [(w, r.hex()) for w, r in want]))
        elif o.verdict == REJECT and p.rejectable() == MAYBE:
            continue
        elif o.verdict == REJECT and p.rejectable():
            if len(told) != 1 or not is_answer(told[0].raw, p):
                wrong.append("%s %sits sender was told %s" % (
                    by, show(p, o), [IP(s.raw) for s in told]))
        elif told:
            wrong.append("%s %sits sender was told %s" % (
                by, show(p, o), [IP(s.raw) for s in told]))
    for s in sum([*at.values(), *answers.values()], []):
        wrong.append("unknown at %s: %r" % (s.where, IP(s.raw)))
    return wrong, counters


def counted(sluice):
    """The rules' counters of the summary."""
    return {name: int(n) for name, n in re.findall(
        r"^sluice: rule (r\d+): (\d+) packets$", sluice.stderr, re.M)}


def packets_seen(sluice):
    """How many came to user space."""
    return int(re.search(r"done: (\d+) packets seen", sluice.stderr).group(1))


def run_one(arena, rules, sent, way, *options):
    """One rule set, one way of capture, all packets: the differences, and how
    many packets came to user space."""
    path, text = write_rules(rules, arena.tmp)
    with QuickSluice(arena, [path], *options, way=way) as s:
        arena.drain()
        seen = arena.batch(sent, rules.capture, os.urandom(16))
    wrong, model = compare(rules, sent, seen)
    have = counted(s)
    want = {r.name: model[r.name] for r in rules.rules}
    if have != want:
        wrong.append("counters are %s, to be %s" % (have, want))
    return ["--capture %s %s\n%s\n%s" % (way, " ".join(options), text, w)
            for w in wrong], packets_seen(s)


@contextlib.contextmanager
def arenas(count):
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            made.append(Arena())
            stack.callback(made[-1].close)
        yield made, stack.enter_context(ThreadPoolExecutor(count))


@pytest.mark.slow(1500)
def test_kernel_and_user_space_equal_the_model():
    """Half of the rule sets by each way; each twice, with the packets decided
    as far as possible in the kernel, and all of them in user space."""
    pairs, seen = 0, [0, 0]
    with arenas(2) as (made, pool):
        for i, seed in enumerate(seeds(50)):
            rules = funnel.random_rules(seed)
            sent = live_packets(seed)
            way = ("route", "wire")[i % 2]
            both = [pool.submit(run_one, a, rules, sent, way, *options)
                    for a, options in zip(made, ((), ("--audit",)))]
            wrong = sum([f.result()[0] for f in both], [])
            seen = [n + f.result()[1] for n, f in zip(seen, both)]
            assert not wrong, "seed %d: %d differences\n%s" % (
                seed, len(wrong), "\n\n".join(wrong[:3]))
            pairs += len(sent)
    print("%d pairs of rule set and packet, seed %d; of the packets %d came to "
          "user space, with --audit %d" % (pairs, SEED, *seen))
    # Else there was nothing to compare.
    assert seen[0] < seen[1] * 0.8


@pytest.mark.slow(600)
def test_the_first_rule_wins_for_what_both_match(way):
    """A function before constants, and a constant before functions, for every
    pair of the kinds of match that has a packet."""
    sample = live_packets(SEED, 8)
    meets = {kind: [n for n, (_, p) in enumerate(sample)
                    if match_holds(match, p)]
             for kind, match in funnel.KINDS.items()}
    pairs, jobs = 0, []
    with arenas(2) as (made, pool):
        for kind, met in meets.items():
            chosen = set()
            for other in meets.values():
                both = [n for n in other if n in set(met)]
                chosen.update(both[:2])
                chosen.update([n for n in other if n not in set(met)][:2])
                pairs += bool(both)
            sent = [sample[n] for n in sorted(chosen)]
            jobs = [pool.submit(run_one, a, rules(kind), sent, way)
                    for a, rules in zip(made, (funnel.function_first,
                                               funnel.constant_first))]
            wrong = sum([f.result()[0] for f in jobs], [])
            assert not wrong, "%s: %d differences\n%s" % (
                kind, len(wrong), "\n\n".join(wrong[:3]))
    # Not every kind overlaps every other: a ping has no port.
    assert pairs > len(meets) ** 2 * 0.7
    print("%d pairs of kinds that overlap" % pairs)


def test_without_offload_the_kernel_takes_no_packet_for_several(offload_host,
                                                                way):
    """What would be cut before the rules see it is not judged uncut."""
    with offload_host.sluice("""
            rule { name = "long", action = DROP,
                   match = { proto = "tcp", len = "1501-65535" } }
            """, "--no-offload", way=way) as s, \
            EchoServer(offload_host.far, FAR, 5000):
        with offload_host.tcp((FAR, 5000)) as c:
            for _ in range(5):
                echo_once(c, os.urandom(30000))
    assert "rule long: 0 packets" in s.stderr
