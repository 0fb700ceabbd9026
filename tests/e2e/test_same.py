# SPDX-License-Identifier: GPL-2.0-or-later
"""The same rules and the same packets: the same verdicts, by the same rules,
with the same changes, live by each way, in the lab and in a replay of the
capture. What leaves a host is what the replay writes, and scapy says whether
its checksums are right."""
import collections
import json
import os
import random
import sys

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import checksum, rdpcap, wrpcap

import resend
from host import FAR, FAR1, GOOGLE, NEAR0, NEAR1
from sluice import BINARY, sluice

SEED = int(os.environ.get("SLUICE_TEST_SEED", 0)) or random.randrange(1 << 32)
COUNT = 200
BROKEN = 4009  # the source port, or the id of an echo
FARS = (FAR, FAR, GOOGLE, FAR1)

# First in every file: numbers the packets, and says what bytes the rules saw.
LOOK = """
local n = 0
local function sum(text)
  local h = 5381
  for at = 1, #text - 3, 4 do
    h = (h * 33 ~ string.unpack("<I4", text, at)) & 0xffffffff
  end
  return h
end
rule {
  name   = "look",
  where  = function(pkt) return pkt.proto ~= "igmp" end,
  action = function(pkt)
    n = n + 1
    audit(pkt, ("#%d %08x %s"):format(n, sum(pkt:dump()), pkt.checksum_ok))
  end,
}
"""

RULES = {
    "constants": """
rule { name = "telnet", match = { proto = "tcp", dport = 23 }, action = DROP }
rule { name = "smtp",   match = { proto = "tcp", dport = 25 }, action = REJECT }
rule { name = "ntp",    match = { proto = "udp", dport = 123 }, action = reject("admin-prohibited") }
rule { name = "pieces", match = { proto = "udp", fragment = true }, action = DROP }
rule { name = "pings",  match = { proto = "icmp", icmp_type = "echo-request", len = "0-300" }, action = REJECT }
rule { name = "gre",    match = { proto = { "gre", 50 } }, action = DROP }
rule { name = "xmas",   match = { tcp_flags = "FPU/FPU" }, action = DROP }
rule { name = "get",    match = { payload = "GET " }, action = reject(1) }
rule { name = "old",    match = { ttl = "1-3" }, action = DROP }
rule { name = "web",    match = { dport = { 80, 443 } }, action = ACCEPT }
rule { name = "voice",  match = { dscp = { "ef", "af41" } }, action = ACCEPT }
rule { name = "high",   match = { dport = "!0-4999", dst = { "198.51.100.0/24", "!198.51.100.8" } }, action = ACCEPT }
rule { name = "errors", match = { icmp_type = { "destination-unreachable", 11 } }, action = ACCEPT }
policy(DROP)
""",
    "rewrites": """
rule { name = "ttl",   match = { proto = "udp" }, rewrite = { ttl = 33, dscp = "cs1" } }
rule { name = "mss",   match = { proto = "tcp", tcp_flags = "S/SA" }, rewrite = { mss = 1200, ecn = 0 } }
rule { name = "id",    match = { fragment = false, dst = "8.8.8.8" }, rewrite = { df = false, id = 7 } }
rule { name = "ports", match = { proto = "udp", dport = 53, sport = "!4009" }, rewrite = { sport = 5353, dport = 5300 }, action = ACCEPT }
rule { name = "other", match = { proto = "tcp", dport = 8888 }, rewrite = { dst = "203.0.113.9", dport = 80 } }
rule { name = "late",  match = { ttl = 33, dscp = "cs1", len = "40-65535" }, rewrite = { ttl = 44 } }
rule { name = "undo",  match = { dport = 123 }, rewrite = { ttl = 5 }, action = REJECT }
""",
    "functions": """
local function field(pkt) return pkt.udp.dport + pkt.udp.len end
rule { name = "fields", match = { proto = "tcp" }, action = function(pkt)
  local t = pkt.tcp
  t.seq, t.window = t.seq + 7 & 0xffffffff, 1000
  if t.syn then t.flags = "SE" t.wscale = 2 end
  if t.tsval then t.tsval = 99 end
  if pkt:find("Host:") then pkt:replace("x", "y") end
  if t.dport == 25 then return REJECT end
  if t.dport == 443 then return ACCEPT end
end }
rule { name = "longer", match = { proto = "udp", dport = 7, len = "0-900" }, action = function(pkt)
  pkt.payload = pkt.payload:reverse() .. "and more"
end }
rule { name = "short", match = { proto = "udp", dport = 5000 }, action = function(pkt)
  pkt.payload = pkt:bytes(1, 3)
  return #pkt.payload == 3 and ACCEPT or DROP
end }
rule { name = "error", match = { proto = "udp", fragment = false }, action = function(pkt)
  pkt.ip.ttl = 1
  if field(pkt) % 3 == 0 then error("a third of them") end
  pkt.ip.ttl = 60
end }
rule { name = "twice", match = { proto = "icmp", icmp_type = "echo-request", fragment = false }, action = function(pkt)
  local copy = pkt:clone()
  copy.ip.id, copy.icmp.seq = 60001, 60001
  if pkt.icmp.id % 2 == 0 then return { copy, pkt } end
  send(copy)
end }
rule { name = "options", where = function(pkt) return pkt.ip and #pkt.ip.options > 0 end,
       action = function(pkt) pkt.ip.options = "" end }
rule { name = "half", where = function(pkt) return pkt.len % 2 == 0 end,
       action = function(pkt) return pkt.ip and pkt.ip.ttl > 40 and DROP or nil end }
on_error(ACCEPT)
""",
    "sets": """
local listed = set { "198.51.100.0/24", "!198.51.100.9", "203.0.113.1-203.0.113.9" }
local met = set {}
rule { name = "met",    match = { dst = met, proto = "udp" }, action = DROP }
rule { name = "listed", match = { dst = listed, proto = "tcp" }, action = REJECT }
rule { name = "not",    match = { dst = { "0.0.0.0/0", "!8.8.0.0/16" }, dport = 53 }, action = ACCEPT }
rule { name = "learn",  match = { proto = "icmp" }, action = function(pkt)
  if not met:has(pkt.dst) then met:add(pkt.dst) return end
  if #met == 3 then met:remove(pkt.dst) end
  return DROP
end }
on_error(DROP)
rule { name = "fails", match = { proto = "sctp" }, action = function(pkt) return pkt.tcp.seq end }
""",
    "flows": """
capture { dir = { "out", "in" } }
rule { name = "host", match = { proto = "tcp", dport = 80 }, action = function(pkt)
  pkt:replace("Host: x", "Host: www.example.org")
end }
rule { name = "third", action = function(pkt)
  local f = pkt.flow
  if not f then return end
  f.data.seen = (f.data.seen or 0) + 1
  if f.packets ~= f.data.seen then error("packets and calls differ") end
  if f.packets % 3 == 0 then return DROP end
  if f.bytes > 4000 then return REJECT end
end }
rule { name = "arrival", match = { dir = "in" }, rewrite = { ttl = 9 }, action = ACCEPT }
""",
}


# ---- the packets ------------------------------------------------------------

class Maker:
    """Random packets of one seed, with few ports and addresses, so that they
    belong together."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.id = 100

    def ip(self, arrives, **kw):
        self.id += 1
        src, dst = NEAR0, self.r.choice(FARS)
        if arrives:
            src, dst = self.r.choice(FARS[:3]), NEAR0
        return IP(src=src, dst=dst, id=self.id, ttl=self.r.choice(
            (1, 2, 33, 41, 64, 64, 128, 200)), tos=self.r.choice(
            (0, 0, 2, 184, 136)), flags=self.r.choice(("", "DF")), **kw)

    def data(self):
        return self.r.choice((b"", b"x", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                              self.r.randbytes(self.r.randrange(900))))

    def tcp(self, arrives):
        options = self.r.choice((
            [], [("MSS", 1460)], [("MSS", 1100), ("WScale", 7)],
            [("NOP", None), ("NOP", None), ("Timestamp", (1, 2))],
            [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (5, 0)),
             ("NOP", None), ("WScale", 9)]))
        flags = self.r.choice(("S", "SA", "A", "PA", "FA", "R", "FPU", "SEC"))
        ports = [self.r.choice((4001, 4002)),
                 self.r.choice((23, 25, 80, 80, 443, 8080, 8888))]
        if arrives:
            ports.reverse()
        return self.ip(arrives) / TCP(
            sport=ports[0], dport=ports[1], flags=flags, options=options,
            seq=self.r.getrandbits(32), ack=self.r.getrandbits(32)
        ) / self.data()

    def udp(self, arrives):
        ports = [self.r.choice((4001, 4002)),
                 self.r.choice((7, 53, 123, 5000, 5001))]
        if arrives:
            ports.reverse()
        return self.ip(arrives) / UDP(sport=ports[0], dport=ports[1]
                                      ) / self.data()

    def echo(self, arrives):
        return self.ip(arrives) / ICMP(
            type=self.r.choice((8, 8, 0)), id=self.r.randrange(1, 5),
            seq=self.r.randrange(9)) / self.data()

    def icmp(self, arrives):
        if self.r.random() < 0.7:
            return self.echo(arrives)
        quoted = bytes(IP(src=FAR, dst=NEAR0, id=9) / UDP(
            sport=self.r.choice((7, 53)), dport=4001))
        return self.ip(arrives) / ICMP(
            type=self.r.choice((3, 11)), code=self.r.choice((0, 1))) / quoted

    def other(self, arrives):
        p = self.ip(arrives, proto=self.r.choice((47, 50, 132)))
        return p / self.r.randbytes(self.r.randrange(20, 100))

    def piece(self, arrives):
        p = self.ip(arrives, proto=self.r.choice((6, 17, 1)))
        if self.r.random() < 0.5:
            p.flags, p.frag = "MF", self.r.choice((0, 0, 3))
        else:
            p.flags, p.frag = "", self.r.randrange(1, 100)
        return p / self.r.randbytes(8 * self.r.randrange(3, 40))

    def with_options(self, arrives):
        p = self.udp(arrives)
        p.options = [IPOption(self.r.choice((b"\x01\x01\x01\x00",
                                             b"\x94\x04\x00\x00")))]
        return p

    def cut_off(self, arrives):
        """The transport header is not all there."""
        p = self.ip(arrives, proto=self.r.choice((6, 17, 1)))
        return p / self.r.randbytes(self.r.randrange(8))

    @staticmethod
    def mark_broken(p):
        """By what no rule changes, and is_broken() knows; with the right
        checksums as yet."""
        if p.proto == 1:
            p.payload.id = BROKEN
        else:
            p.payload.sport = BROKEN
        return IP(bytes(p))

    def wrong_transport(self, arrives):
        p = self.r.choice((self.tcp, self.udp, self.echo))(arrives)
        p = self.mark_broken(p)
        p.payload.chksum ^= self.r.randrange(1, 0x8000)
        return p

    def wrong_header(self, arrives):
        """Only a packet socket can send it, and the kernel would not route
        it: none that a rule sends elsewhere."""
        p = self.mark_broken(self.udp(arrives))
        p.chksum ^= self.r.randrange(1, 0x8000)
        return p

    def odd(self, arrives):
        """No usable header: too short, another version, longer than it is.
        A replay knows by the destination what arrives: here is none."""
        if arrives:
            return self.udp(arrives)
        p = bytearray(bytes(self.udp(arrives)))
        at, value = self.r.choice(((0, 0x44), (0, 0x65), (0, 0x4f), (2, 0xff)))
        p[at] = value
        return Raw(bytes(p[:40]))

    def packets(self, count, arrivals, wire):
        makers = [self.tcp] * 6 + [self.udp] * 5 + [self.icmp] * 3 + [
            self.other, self.piece, self.piece, self.with_options,
            self.cut_off, self.wrong_transport]
        if wire:
            makers += [self.wrong_header, self.odd]
        out = []
        for i in range(count):
            arrives = arrivals and self.r.random() < 0.5
            # Each kind once, whatever chance has in mind.
            maker = makers[i] if i < len(makers) else self.r.choice(makers)
            out.append((arrives, bytes(maker(arrives))))
        return out


# ---- the verdicts -----------------------------------------------------------

KEYS = ("dir", "proto", "src", "dst", "sport", "dport", "detail", "len",
        "verdict", "rule", "made", "changed", "options_changed",
        "payload_changed", "note")


def verdicts(text):
    """What is the same wherever the packet came from, in order."""
    events = [json.loads(line) for line in text.splitlines()
              if line.startswith("{")]
    return [{k: e[k] for k in KEYS if k in e} for e in events
            if e.get("note", "").startswith("#")]


def compare(got, want, where):
    for i, (a, b) in enumerate(zip(got, want)):
        assert a == b, "packet %d: %s, then in the replay:\n%s\n%s" % (
            i + 1, where, json.dumps(a), json.dumps(b))
    assert len(got) == len(want)


class Case:
    """Packets in a file, a rule file, and what a replay makes of them."""

    def __init__(self, host, rules, macs, arrivals=False, wire=True):
        print("SLUICE_TEST_SEED=%d" % SEED)
        self.packets = Maker(SEED).packets(COUNT, arrivals, wire)
        self.capture = os.path.join(host.tmp, "in.pcap")
        self.rules = host.rules(LOOK + RULES[rules])
        # Arrivals come from the other end of the first uplink.
        wrpcap(self.capture, [
            Ether(dst=macs[1 - arrives], src=macs[arrives], type=0x0800) / ip
            for arrives, ip in self.packets])
        out = os.path.join(host.tmp, "out.pcap")
        r = sluice(host, "replay", self.rules, self.capture, "-w", out,
                   "--json", "--local", NEAR0, "--local", NEAR1, check=0)
        self.want = verdicts(r.stdout)
        self.leaving = [bytes(p)[14:] for p in rdpcap(out)]
        assert len(self.want) == COUNT
        # That they are the same says something only of what differs.
        assert len({v["verdict"] for v in self.want}) > 1
        assert len({v.get("rule") for v in self.want}) > 1


def mac(ns, device):
    return json.loads(ns.run(["ip", "-j", "link", "show", device]
                             ).stdout)[0]["address"]


def quiet(host):
    """Nobody answers what is nobody's: both sides drop it behind sluice."""
    for ns, addresses in ((host.near, "%s, %s, %s" % (FAR, GOOGLE, FAR1)),
                          (host.far, NEAR0)):
        ns.nft("table ip quiet { chain input { type filter hook input "
               "priority 0; ip saddr { %s } drop\n}\n}\n" % addresses)


def wrong(data):
    """What scapy's sums find wrong with an IPv4 packet, or None."""
    header, proto = (data[0] & 15) * 4, data[9]
    body = data[header:]
    if checksum(data[:header]):
        return "IP checksum"
    if int.from_bytes(data[6:8], "big") & 0x3fff:
        return None
    pseudo = data[12:20] + bytes((0, proto)) + len(body).to_bytes(2, "big")
    if proto == 6 and len(body) >= 20 and checksum(pseudo + body):
        return "TCP checksum"
    if proto == 17 and len(body) >= 8:
        if body[4:6] != len(body).to_bytes(2, "big"):
            return "UDP length"
        if body[6:8] != b"\0\0" and checksum(pseudo + body):
            return "UDP checksum"
    if proto == 1 and len(body) >= 8 and checksum(body):
        return "ICMP checksum"
    return None


def is_broken(data):
    at = (data[0] & 15) * 4 + (4 if data[9] == 1 else 0)
    return data[9] in (1, 6, 17) and data[at:at + 2] == BROKEN.to_bytes(
        2, "big")


def far_side(case, frames):
    """What left the host is what the replay wrote for it."""
    here = {NEAR0, NEAR1}
    want = [b for b in case.leaving if len(b) >= 20 and
            ".".join(map(str, b[16:20])) not in here]
    got = [f.raw[14:] for f in frames]
    lost = collections.Counter(want) - collections.Counter(got)
    more = collections.Counter(got) - collections.Counter(want)
    assert not lost and not more, "lost:\n%s\nmore:\n%s" % (
        "\n".join(b.hex() for b in lost), "\n".join(b.hex() for b in more))
    judged = 0
    for b in got:
        if b[0] >> 4 != 4 or int.from_bytes(b[2:4], "big") != len(b) or \
                not 20 <= (b[0] & 15) * 4 <= len(b) or is_broken(b):
            continue
        assert not wrong(b), "%s: %s" % (wrong(b), IP(b).summary())
        judged += 1
    assert judged > len(got) / 2


@pytest.mark.slow(300)
@pytest.mark.parametrize("rules", list(RULES))
def test_live_is_as_the_replay(host, way, rules):
    arrivals = "dir" in RULES[rules].split("rule")[0]
    quiet(host)
    macs = (mac(host.near, "up0"), mac(host.far, "fu0"))
    case = Case(host, rules, macs, arrivals, wire=way == "wire")
    with host.capture() as cap:
        with host.sluice([case.rules], "--audit", "--json", way=way) as s:
            shown = resend.Shown(s._base + ".out")
            for n, (frame, (arrives, _)) in enumerate(zip(
                    resend.frames(case.capture), case.packets), 1):
                if arrives:
                    with host.far.entered():
                        resend.by_wire(frame, "fu0")
                elif way == "route":
                    with host.near.entered():
                        resend.by_route(frame)
                else:
                    with host.near.entered():
                        resend.by_wire(frame, "up0")
                shown.wait(n)
        compare(verdicts(s.stdout), case.want, "live")
        cap.sync()
        if not arrivals:
            far_side(case, [f for f in cap.frames if f.raw[12:14] ==
                            resend.ETH_P_IP and f.raw[23] != 2])


@pytest.mark.slow(300)
@pytest.mark.parametrize("rules", list(RULES))
def test_the_lab_is_as_the_replay(host, way, rules):
    case = Case(host, rules, ("02:00:00:00:00:01", "02:00:00:00:00:02"),
                wire=way == "wire")
    out = os.path.join(host.tmp, "lab.out")
    with open(out, "w") as f:
        p = host.near.popen(
            [BINARY, "lab", "--capture", way, "--audit", "--json",
             case.rules, "--", sys.executable, resend.__file__, way, "eth0",
             case.capture, out], stdout=f, stderr=open(out + ".err", "w"))
        status = p.wait(200)
    with open(out + ".err") as f:
        said = f.read()
    assert status == 0, said
    with open(out) as f:
        compare(verdicts(f.read()), case.want, "in the lab")
