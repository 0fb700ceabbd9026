# SPDX-License-Identifier: GPL-2.0-or-later
"""What the rule language means, written a second time, from its documentation.

A packet here is a description (a Packet), not bytes: what has a field is known
by how it was made, so nothing is parsed. Bytes are made by scapy. Nothing here
knows sluice, the kernel, or a network.
"""
import dataclasses
import ipaddress
import struct

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Raw

ACCEPT, DROP, REJECT = "ACCEPT", "DROP", "REJECT"
MAYBE = "maybe"
ERROR = "error"  # a function that raises one
NUMBER = {"tcp": 6, "udp": 17, "icmp": 1, "igmp": 2, "gre": 47, "esp": 50,
          "sctp": 132, "udplite": 136, "ospf": 89}
WITH_PORTS = (6, 17, 33, 132, 136)
ICMP_TYPES = {"echo-reply": 0, "destination-unreachable": 3, "redirect": 5,
              "echo-request": 8, "time-exceeded": 11}
ICMP_CODES = {"net-unreachable": 0, "host-unreachable": 1,
              "port-unreachable": 3, "admin-prohibited": 13}
ICMP_ERRORS = (3, 4, 5, 11, 12)
DSCP = dict([("ef", 46), ("le", 1), ("va", 44)]
            + [("cs%d" % i, 8 * i) for i in range(8)]
            + [("af%d%d" % (i, j), 8 * i + 2 * j)
               for i in range(1, 5) for j in range(1, 4)])
FLAG = {f: 1 << i for i, f in enumerate("FSRPAUEC")}
USUAL = 0x3f


def flags_number(letters):
    return sum(FLAG[f] for f in letters)


@dataclasses.dataclass
class Packet:
    """off: of a later fragment, in units of 8, whose bytes are its payload.
    cut: bytes of the transport layer that are in this packet (None: all).
    odd: what is wrong with the IP header. doff: of TCP, a wrong one. trailer:
    what follows the packet in its frame."""
    src: str
    dst: str
    proto: int
    ttl: int = 64
    dscp: int = 0
    ecn: int = 0
    id: int = 1
    df: bool = False
    mf: bool = False
    off: int = 0
    options: bytes = b""
    sport: int = None
    dport: int = None
    seq: int = 0
    ack: int = 0
    flags: str = ""
    tcp_options: tuple = ()
    no_checksum: bool = False
    type: int = None
    code: int = None
    payload: bytes = b""
    cut: int = None
    odd: str = None
    doff: int = None
    trailer: bytes = b""
    # Where it is: no field of it.
    dir: str = "out"
    dev: str = "up0"
    _layer: bytes = dataclasses.field(default=None, compare=False)

    # -- what it has -------------------------------------------------------

    @property
    def fragment(self):
        return self.mf or self.off > 0

    def layer(self):
        """The transport layer, whole; checksums by scapy."""
        if self._layer is None:
            self._layer = self._make_layer()
        return self._layer

    def _make_layer(self):
        if self.proto == 6:
            l4 = TCP(sport=self.sport, dport=self.dport, seq=self.seq,
                     ack=self.ack, flags=flags_number(self.flags),
                     options=list(self.tcp_options), window=1000)
        elif self.proto == 17:
            l4 = UDP(sport=self.sport, dport=self.dport)
            if self.no_checksum:
                l4.chksum = 0
        elif self.proto == 1:
            l4 = ICMP(type=self.type, code=self.code)
        elif self.proto in WITH_PORTS:
            # No scapy layer fills these in for us, and no rule changes them.
            return struct.pack("!HHI", self.sport, self.dport,
                               0x12345678) + self.payload
        else:
            return self.payload
        whole = IP(src=self.src, dst=self.dst, proto=self.proto) / l4
        if self.payload:
            whole = whole / Raw(self.payload)
        raw = bytearray(bytes(whole)[20:])
        if self.doff is not None:
            raw[12] = self.doff << 4
        return bytes(raw)

    def transport(self):
        if self.off:
            return self.payload
        layer = self.layer()
        return layer if self.cut is None else layer[:self.cut]

    def bytes(self):
        frag = (1 if self.mf else 0) | (2 if self.df else 0)
        body = self.transport()
        head = bytes(IP(src=self.src, dst=self.dst, proto=self.proto,
                        ttl=self.ttl, tos=self.dscp << 2 | self.ecn,
                        id=self.id, flags=frag, frag=self.off,
                        ihl=5 + len(self.options) // 4,
                        len=20 + len(self.options) + len(body),
                        chksum=0))[:20] + self.options
        sum_ = sum(struct.unpack("!%dH" % (len(head) // 2), head))
        while sum_ >> 16:
            sum_ = (sum_ & 0xffff) + (sum_ >> 16)
        raw = bytearray(head[:10] + struct.pack("!H", ~sum_ & 0xffff)
                        + head[12:] + body)
        if self.odd == "version":
            raw[0] += 0x10
        elif self.odd == "header short":
            raw[0] = 0x44
        elif self.odd == "header long":
            raw[0] = 0x4f
        elif self.odd == "total short":
            raw[2:4] = b"\0\x12"
        elif self.odd == "total long":
            raw[2:4] = struct.pack("!H", len(raw) + 1)
        return bytes(raw)

    def header_size(self):
        """Of the transport layer: where the payload begins."""
        if self.doff is not None:
            return 65536  # nowhere
        if self.proto == 6:
            return len(self.layer()) - len(self.payload)
        return 8 if self.proto in (1, 17) else 0

    def has(self, key):
        """The value of a match key, None where there is none."""
        if key == "dir":
            return self.dir
        if key == "oif":
            return self.dev if self.dir == "out" else None
        if key == "iif":
            return self.dev if self.dir != "out" else None
        if key == "len":
            return 20 + len(self.options) + len(self.transport())
        if self.odd:
            return None
        if key == "proto":
            return self.proto
        if key in ("src", "dst"):
            return int(ipaddress.IPv4Address(getattr(self, key)))
        if key in ("ttl", "dscp", "fragment"):
            return getattr(self, key)
        if self.off:
            return None  # a later fragment: no transport header
        there = len(self.transport())
        if key in ("sport", "dport"):
            return getattr(self, key) if self.proto in WITH_PORTS else None
        if key == "icmp_type":
            return self.type
        if key == "icmp_code":
            return self.code
        if key == "tcp_flags":
            if self.proto != 6 or there < 14:
                return None
            return flags_number(self.flags)
        if key == "payload":
            n = self.header_size()
            return None if n > there else self.transport()[n:]
        raise KeyError(key)

    def changed(self, changes):
        """As rewrite does: what has no place is left alone."""
        if self.odd or not changes:
            return self
        p = dataclasses.replace(self, _layer=None)
        for key in ("ttl", "dscp", "ecn", "df", "id", "mss", "src", "dst",
                    "sport", "dport"):
            if key not in changes:
                continue
            value = changes[key]
            if key == "dscp":
                value = DSCP.get(value, value)
            if key in ("sport", "dport") and (
                    p.proto not in (6, 17) or p.off):
                continue
            if key == "mss":
                if p.has("tcp_flags") is not None and "S" in p.flags and \
                        len(p.transport()) >= p.header_size():
                    p.tcp_options = tuple(
                        (n, min(v, value)) if n == "MSS" else (n, v)
                        for n, v in p.tcp_options)
                continue
            setattr(p, key, value)
        p._layer = None
        return p

    def rejectable(self):
        """How its sender is told: RST for TCP, ICMP for the rest; None: not at
        all. MAYBE: TCP whose header gives its own length wrong.
        """
        if self.off or self.odd or ipaddress.IPv4Address(self.dst).is_multicast:
            return None
        if self.proto == 1 and self.type in ICMP_ERRORS:
            return None
        if self.proto == 6 and self.doff is not None:
            return MAYBE
        if self.proto == 6:
            whole = len(self.transport()) >= self.header_size()
            return "rst" if whole and "R" not in self.flags else None
        return "icmp"


# -- matches ------------------------------------------------------------------


@dataclasses.dataclass
class AddressSet:
    """The longest prefix that covers an address decides; "!" excludes."""
    members: list
    file: str = None

    def has(self, number):
        best = (-1, False)
        for m in self.members:
            net = ipaddress.IPv4Network(m.lstrip("!"))
            if number in range(int(net.network_address),
                               int(net.broadcast_address) + 1):
                best = max(best, (net.prefixlen, not m.startswith("!")))
        return best[1]


def address_in(text, number):
    if "-" in text:
        a, b = (int(ipaddress.IPv4Address(t)) for t in text.split("-"))
    else:
        net = ipaddress.IPv4Network(text)
        a, b = int(net.network_address), int(net.broadcast_address)
    return a <= number <= b


def number_in(text, number, names):
    if text in names:
        return number == names[text]
    if "-" in text:
        a, b = text.split("-")
        return int(a) <= number <= int(b)
    return number == int(text)


def flags_in(text, number):
    want, slash, mask = text.partition("/")
    value = flags_number(want)
    return number & (flags_number(mask) if slash else USUAL | value) == value


def one_holds(key, value, has):
    """A value without its "!"."""
    if key in ("src", "dst"):
        return address_in(value, has)
    if key in ("oif", "iif"):
        return has.startswith(value[:-1]) if value.endswith("*") \
            else has == value
    if key == "dir":
        return has == value
    if key == "tcp_flags":
        return flags_in(value, has)
    if key == "payload":
        return has.startswith(value)
    return number_in(value, has, {"proto": NUMBER, "icmp_type": ICMP_TYPES,
                                  "icmp_code": ICMP_CODES,
                                  "dscp": DSCP}.get(key, {}))


def condition_holds(key, values, has):
    if has is None:
        return False
    if isinstance(values, bool):
        return has == values
    wanted = found = False
    for v in values if isinstance(values, list) else [values]:
        if isinstance(v, AddressSet):
            wanted, found = True, found or v.has(has)
            continue
        if isinstance(v, int):
            v = str(v)
        no = v[:1] in ("!", b"!")
        if no and one_holds(key, v[1:], has):
            return False
        if not no:
            wanted, found = True, found or one_holds(key, v, has)
    return found or not wanted


def match_holds(match, packet):
    return all(condition_holds(k, v, packet.has(k)) for k, v in match.items())


# -- rules --------------------------------------------------------------------


@dataclasses.dataclass
class Function:
    """A Lua function: fields of the IP header it sets, and what it returns.
    Or raises, behind its changes: verdict ERROR."""
    sets: dict
    verdict: str = None


@dataclasses.dataclass
class Rule:
    name: str
    match: dict
    rewrite: dict = dataclasses.field(default_factory=dict)
    action: object = None   # None, a verdict, a Function
    where: tuple = None     # a key of the packet, a modulus, a rest


@dataclasses.dataclass
class RuleSet:
    rules: list
    policy: str = ACCEPT
    on_error: str = ACCEPT
    capture: tuple = ()  # "in", "forward"


@dataclasses.dataclass
class Outcome:
    verdict: str
    packet: Packet    # as it goes on
    rule: str         # who decided, None: the policy
    counted: list     # the rules that counted it


def where_holds(where, packet):
    """Or ERROR: a function that asks for a field of a header that is none."""
    key, modulus, rest = where
    if key == "len":
        return packet.has(key) % modulus == rest
    return ERROR if packet.odd else getattr(packet, key) % modulus == rest


def judge(rules, packet):
    """A packet's way through the rules."""
    if packet.dir != "out" and packet.dir not in rules.capture:
        return Outcome(ACCEPT, packet, None, [])
    p, counted = packet, []
    for r in rules.rules:
        if not match_holds(r.match, p):
            continue
        where = where_holds(r.where, p) if r.where else True
        if not where:
            continue
        counted.append(r.name)
        if where == ERROR:
            return Outcome(rules.on_error, packet, r.name, counted)
        p = p.changed(r.rewrite)
        verdict = r.action
        if isinstance(r.action, Function):
            verdict = ERROR if p.odd and r.action.sets else r.action.verdict
            p = p.changed(r.action.sets)
            if verdict == ERROR:
                return Outcome(rules.on_error, packet, r.name, counted)
        if verdict:
            return Outcome(verdict, p, r.name, counted)
    return Outcome(rules.policy, p, None, counted)
