# SPDX-License-Identifier: GPL-2.0-or-later
"""Random rule sets and packets, from one small universe, so that rules hit
often; and rule sets as Lua text. Everything follows from the seed."""
import random

from model import (ACCEPT, DROP, DSCP, ERROR, REJECT, AddressSet, Function,
                   Packet, Rule, RuleSet)

NEAR = ["10.66.0.1", "10.66.0.77", "10.67.0.1", "10.67.0.99"]
FAR_UP0 = ["10.66.0.2", "198.51.100.9", "198.51.100.77", "8.8.8.8"]
FAR_UP1 = ["10.67.0.2", "203.0.113.9", "203.0.113.200"]
FAR = FAR_UP0 + FAR_UP1
GROUP = "239.1.2.3"
STRANGERS = ["192.0.2.55", "192.0.2.200"]  # others, behind this host
FENCE, FENCE_BACK = 7777, 7778

PORTS = [0, 22, 53, 80, 443, 1024, 5000, 65535]
TTLS = [1, 2, 63, 64, 65, 128, 253, 254, 255]
DSCPS = [0, 1, 8, 10, 34, 44, 46, 63]
LENS = [28, 36, 40, 44, 48, 56, 60, 64, 68, 80, 100, 120]
BEGINS = [b"", b"GET ", b"GE", b"TRACE /", b"\x00\x01\x02", b"!bang",
          b"\xff\"\\\n"]
OPTIONS = [b"\1\1\1\1", b"\x94\4\0\0", b"\0\0\0\0", b"\x5e\4\xab\xcd",
           b"\1\1\1\1\x5e\4\1\2"]
CAPTURES = [(), ("in",), ("forward",), ("in", "forward")]
TAG = b"\xfeSlu"


def tag(n):
    """What a payload ends with: which packet it is."""
    return TAG + n.to_bytes(4, "big")


class Packets:
    def __init__(self, rng):
        self.rng = rng

    def transport(self, n):
        r = self.rng
        proto = r.choices([6, 17, 1, 47, 132, 136, 253, 33],
                          [45, 25, 14, 4, 4, 3, 3, 2])[0]
        f = {"proto": proto}
        if proto in (6, 17, 132, 136, 33):
            f.update(sport=r.choice(PORTS), dport=r.choice(PORTS))
        if proto == 6:
            f.update(seq=0x10000000 + n * 8192, ack=0,
                     flags=r.choice(["S", "S", "SA", "A", "PA", "FA", "R",
                                     "RA", "FPU", "", "SEC", "AE", "SF"]))
            if "A" in f["flags"]:
                f["ack"] = 0x50000000 + n * 8192
            if r.random() < 0.5:
                f["tcp_options"] = tuple(
                    [("NOP", None)] * r.choice([0, 0, 1, 2])
                    + [("MSS", r.choice([536, 1300, 1460]))]
                    + [("NOP", None), ("WScale", 7)] * r.choice([0, 1]))
        if proto == 17:
            f["no_checksum"] = r.random() < 0.15
        if proto == 1:
            f["type"] = r.choice([0, 8, 8, 3, 3, 11, 5, 13])
            f["code"] = r.choice([0, 0, 1, 3, 13])
        return f

    def fragmented(self, f):
        r, kind = self.rng, self.rng.random()
        if kind < 0.85:
            return
        if kind < 0.93:
            f.update(off=r.choice([1, 2, 50, 185]), mf=r.random() < 0.5)
            size = (len(f["payload"]) + 7) // 8 * 8
            f["payload"] = f["payload"].rjust(size, b"f")
        elif f["proto"] == 6 and kind < 0.96:
            f.update(mf=True, cut=r.choice([8, 8, 16]))
        else:
            f["mf"] = True

    def broken(self, f):
        """What no kernel makes: only a packet socket sends it."""
        r, kind = self.rng, self.rng.random()
        if kind < 0.04 and "cut" not in f:
            f["odd"] = r.choice(["version", "header short", "total short",
                                 "total long"])
            if len(f["payload"]) < 20 and f["proto"] != 6 and \
                    "options" not in f:
                f["odd"] = "header long"
        elif kind < 0.10 and f["proto"] == 6 and not f.get("off"):
            short = len(f["payload"]) < 30 and "tcp_options" not in f
            f["doff"] = r.choice([0, 4, 15 if short else 4])
        elif kind < 0.13 and f["proto"] == 6 and not f.get("off"):
            f["cut"] = r.choice([8, 13, 14, 16])
        # The kernel takes what follows a header that is cut off for the rest of
        # it. No host does anything with such a packet.
        if kind > 0.9 and "cut" not in f:
            f["trailer"] = r.choice([b"\0" * 18, b"GET ", b"\0\1\2", b"!"])
            # Without payload, what is behind it could be taken for one.
            if f["proto"] == 6 and not f.get("off") and not f.get("mf") and \
                    "R" not in f["flags"]:
                f["payload"] = b""

    def packet(self, n, direction, by="wire"):
        r = self.rng
        f = self.transport(n)
        f["payload"] = r.choice(BEGINS) + bytes(
            r.choices(b"abcGET \0!", k=r.choice([0, 3, 8, 20, 60]))) + tag(n)
        self.fragmented(f)
        if f.get("mf") and not f.get("off") and "cut" not in f:
            # The last byte that is there ends a unit of 8, behind the tag.
            size = len(Packet("0.0.0.0", "0.0.0.0", **f).layer())
            f["payload"] = f["payload"][:-8] + b"x" * (-size % 8) + tag(n)
        if r.random() < 0.12:
            f["options"] = r.choice(OPTIONS)
        if by == "wire":
            self.broken(f)
        f.update(ttl=r.choice(TTLS), dscp=r.choice(DSCPS), ecn=r.choice(
            [0, 0, 1, 2, 3]), df=r.random() < 0.5, id=n + 1)
        near, far = r.choice(NEAR), r.choice(FAR + [GROUP] * (r.random() < .2))
        if direction == "in":
            near = r.choice(NEAR * 5 + [GROUP])
            f.update(src=r.choice(FAR), dst=near)
        elif direction == "forward":
            f.update(src=r.choice(FAR), dst=r.choice(STRANGERS))
        else:
            f.update(src=near, dst=far)
        return Packet(dir=direction, **f)


class Rules:
    def __init__(self, rng, live=True):
        self.rng, self.live = rng, live

    def maybe_not(self, values):
        """One value or a list, some of them negated."""
        r = self.rng
        n = r.choice([1, 1, 1, 2, 2, 3])
        out = []
        for _ in range(n):
            v = r.choice(values)
            if r.random() < 0.25 and not isinstance(v, AddressSet):
                v = b"!" + v if isinstance(v, bytes) else "!%s" % v
            out.append(v)
        return out[0] if n == 1 and r.random() < 0.7 else out

    def between(self, values):
        a, b = sorted(self.rng.sample(sorted(values), 2))
        return self.rng.choice([a, b, "%d-%d" % (a, b),
                                "%d-%d" % (a + 1, max(a + 1, b - 1))])

    def address_set(self):
        r = self.rng
        members, had = [], set()
        for _ in range(r.randint(1, 6)):
            a = r.choice(NEAR + FAR + [GROUP])
            n = r.choice([32, 32, 28, 24, 16, 8, 1, 0])
            keep = (0xffffffff << (32 - n)) & 0xffffffff
            number = int.from_bytes(bytes(map(int, a.split("."))), "big")
            text = ".".join(map(str, (number & keep).to_bytes(4, "big")))
            if (number & keep, n) in had:
                continue
            had.add((number & keep, n))
            text += "" if n == 32 and r.random() < .5 else "/%d" % n
            members.append(("!" if r.random() < 0.3 else "") + text)
        return AddressSet(members, "members.txt" if r.random() < .3 else None)

    def values(self, key):
        if key == "proto":
            return ["tcp", "udp", "icmp", "gre", "sctp", "udplite", 6, 17, 1,
                    253, 33]
        if key in ("src", "dst"):
            return NEAR + FAR + STRANGERS + [
                "10.66.0.0/24", "10.0.0.0/8", "198.51.100.0/24", "0.0.0.0/0",
                "10.66.0.1-10.66.0.77", "10.66.0.2-203.0.113.9", GROUP,
                "224.0.0.0/4", self.address_set(), self.address_set()]
        if key in ("sport", "dport"):
            return PORTS + ["0-1023", "1024-65535", "53-80", "81-5000"]
        if key == "icmp_type":
            return ["echo-request", "echo-reply", "redirect", 3, 8, 11, 13,
                    "time-exceeded", "destination-unreachable", "5-13"]
        if key == "icmp_code":
            return ["port-unreachable", "net-unreachable", 0, 1, 3, 13,
                    "admin-prohibited", "1-13"]
        if key == "tcp_flags":
            return ["S", "SA", "A", "PA", "FA", "R", "RA", "FPU", "S/SA",
                    "A/A", "/FSR", "S/SR", "SE/SE", "SEC", "R/R", "E/E", "SF",
                    "/S", "AE"]
        if key == "dir":
            return ["out", "in", "forward"]
        if key in ("oif", "iif"):
            return ["up0", "up1", "up*", "eth0", "u*", "up1*"]
        if key == "dscp":
            return sorted(DSCP) + DSCPS + [self.between(DSCPS)]
        if key == "ttl":
            return TTLS + [self.between(TTLS)]
        if key == "len":
            return LENS + [self.between(LENS), self.between(LENS),
                           self.between([0, 60, 80, 65535])]
        if key == "payload":
            return [b for b in BEGINS if b and b[:1] != b"!"] + [
                b"G", b"\0", b"x" * 70, b"GET \0", b"f"]
        raise KeyError(key)

    def match(self):
        r = self.rng
        if r.random() < 0.2:
            # What people write most.
            proto = r.choice(["tcp", "tcp", "udp", "icmp"])
            key = r.choice(["dport", "sport", "tcp_flags", "payload", "len"]
                           if proto == "tcp" else ["dport", "payload", "len"]
                           if proto == "udp" else ["icmp_type", "ttl"])
            return {"proto": proto, key: self.maybe_not(self.values(key))}
        keys = r.choices(
            ["proto", "src", "dst", "sport", "dport", "icmp_type",
             "icmp_code", "tcp_flags", "dir", "oif", "iif", "dscp", "ttl",
             "len", "fragment", "payload"],
            [6, 5, 5, 4, 5, 2, 1.5, 4, 1.5, 2, 1, 3, 3, 3, 2, 3],
            k=r.choice([0, 1, 1, 1, 2, 2, 2, 3, 4]))
        return {k: r.random() < 0.4 if k == "fragment"
                else self.maybe_not(self.values(k)) for k in keys}

    def rewrite(self):
        r = self.rng
        some = {
            "ttl": lambda: r.choice([1, 7, 64, 255]),
            "dscp": lambda: r.choice(["ef", "cs1", "af21", 0, 33]),
            "ecn": lambda: r.randrange(4), "df": lambda: r.random() < .5,
            "id": lambda: r.choice([0, 1, 0xbeef]),
            "mss": lambda: r.choice([500, 1000, 1400]),
            "src": lambda: r.choice(NEAR + STRANGERS),
            "sport": lambda: r.choice(PORTS), "dport": lambda: r.choice(PORTS),
            "dst": lambda: r.choice(FAR)}
        keys = r.choices(list(some), [4, 6, 2, 2, 1, 4, 1, 1, 3, .5],
                         k=r.choice([1, 1, 2, 3]))
        return {k: some[k]() for k in keys}

    def function(self):
        r = self.rng
        sets = {}
        if r.random() < 0.6:
            sets["dscp"] = r.choice([5, 9, 46])
        if r.random() < 0.2:
            sets["ttl"] = r.choice([9, 99])
        return Function(sets, r.choices(
            [ACCEPT, DROP, None, REJECT, ERROR], [4, 3, 5, 1, .4])[0])

    def rule(self, n):
        r = self.rng
        rule = Rule("r%d" % n, self.match())
        kind = r.random()
        if kind < 0.45:
            rule.action = r.choices([ACCEPT, DROP, REJECT], [4, 5, 2])[0]
        elif kind < 0.75:
            rule.rewrite = self.rewrite()
            rule.action = r.choices([None, ACCEPT], [2, 1])[0]
        else:
            rule.action = self.function()
            if r.random() < 0.1:
                rule.rewrite = self.rewrite()
        if r.random() < 0.06:
            rule.where = r.choice([("id", 2, 0), ("ttl", 2, 1), ("len", 3, 0)])
        if "dst" in rule.rewrite:
            # It goes on by tun0: only what was on its way out.
            rule.match["dir"] = "out"
        return rule

    def ruleset(self):
        r = self.rng
        return RuleSet([self.rule(i) for i in range(r.randint(1, 8))],
                       policy=r.choice([ACCEPT, ACCEPT, DROP]),
                       on_error=r.choice([ACCEPT, DROP]),
                       capture=r.choice(CAPTURES))


# -- as Lua -------------------------------------------------------------------


def lua_value(v, files):
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, int):
        return str(v)
    if isinstance(v, bytes):
        return '"%s"' % "".join("\\x%02x" % b for b in v)
    if isinstance(v, list):
        return "{ %s }" % ", ".join(lua_value(x, files) for x in v)
    if isinstance(v, AddressSet):
        if not v.file:
            return "set { %s }" % ", ".join('"%s"' % m for m in v.members)
        name = "%d-%s" % (len(files), v.file)
        files[name] = "".join(m + "\n" for m in v.members)
        return 'set.file("%s")' % name
    return '"%s"' % v


def lua_table(d, files):
    return "{ %s }" % ", ".join("%s = %s" % (k, lua_value(v, files))
                                for k, v in d.items())


def lua_function(f):
    body = ["pkt.ip.%s = %d" % kv for kv in f.sets.items()]
    if f.verdict == ERROR:
        body.append('error("asked for")')
    elif f.verdict:
        body.append("return " + f.verdict)
    return "function(pkt) %s end" % " ".join(body)


def lua_rule(r, files):
    part = ['name = "%s"' % r.name]
    if r.match:
        part.append("match = " + lua_table(r.match, files))
    if r.where:
        key, modulus, rest = r.where
        part.append("where = function(pkt) return pkt.%s %% %d == %d end" % (
            "len" if key == "len" else "ip." + key, modulus, rest))
    if r.rewrite:
        part.append("rewrite = " + lua_table(r.rewrite, files))
    if r.action:
        part.append("action = " + (lua_function(r.action) if isinstance(
            r.action, Function) else r.action))
    return "rule { %s }" % ", ".join(part)


FENCES = """
rule { name = "fence", match = { proto = "udp", dport = %d },
       action = function(pkt) return ACCEPT end }
rule { name = "fence-back", match = { proto = "udp", dport = %d },
       action = function(pkt) return REJECT end }
""" % (FENCE, FENCE_BACK)


def lua(rules):
    """Text of the rule file, and the files of its sets {name: text}."""
    files = {}
    lines = ["policy(%s)" % rules.policy, "on_error(%s)" % rules.on_error]
    if rules.capture:
        lines.append("capture { dir = { %s } }" % ", ".join(
            '"%s"' % d for d in ("out",) + rules.capture))
    lines += [lua_rule(r, files) for r in rules.rules]
    return FENCES + "\n".join(lines) + "\n", files


def random_rules(seed):
    return Rules(random.Random("rules %s" % seed)).ruleset()


def random_packets(seed, count, direction, first=0, by="wire"):
    make = Packets(random.Random("packets %s %s" % (seed, direction)))
    return [make.packet(first + i, direction, by) for i in range(count)]


# -- the kinds of match, for the order of rules -------------------------------

KINDS = {
    "any packet": {},
    "proto": {"proto": "tcp"},
    "proto list": {"proto": ["udp", "icmp", 253]},
    "proto not": {"proto": "!icmp"},
    "src": {"src": NEAR[0]},
    "src prefix": {"src": "10.66.0.0/24"},
    "src range": {"src": "10.0.0.0-10.66.0.50"},
    "src not": {"src": ["!10.67.0.0/24"]},
    "src set": {"src": AddressSet(["10.0.0.0/8", "!10.66.0.77", "8.8.8.8"])},
    "dst": {"dst": FAR[1]},
    "dst prefix, exception": {"dst": ["198.51.100.0/24", "!198.51.100.9"]},
    "dst list": {"dst": [FAR[0], FAR[3], GROUP, "203.0.113.0/24", NEAR[0]]},
    "dst set.file": {"dst": AddressSet(
        ["0.0.0.0/0", "!203.0.113.0/24", "203.0.113.200"], "kinds.txt")},
    "sport": {"sport": 53},
    "sport range": {"sport": "1-1024"},
    "sport not": {"sport": "!53"},
    "dport list": {"dport": [22, "80-5000", "!443"]},
    "icmp_type": {"icmp_type": "echo-request"},
    "icmp_type not": {"icmp_type": "!11"},
    "icmp_code": {"icmp_code": [0, 3]},
    "tcp_flags": {"tcp_flags": ["S", "SA"]},
    "tcp_flags mask": {"tcp_flags": "A/A"},
    "tcp_flags not": {"tcp_flags": "!R/R"},
    "dir out": {"dir": "out"},
    "dir in": {"dir": "in"},
    "dir not in": {"dir": "!in"},
    "oif": {"oif": "up0"},
    "oif*": {"oif": ["up*", "!up1"]},
    "iif": {"iif": "up1"},
    "dscp": {"dscp": ["ef", "cs1", 0]},
    "dscp not": {"dscp": "!ef"},
    "ttl range": {"ttl": "60-128"},
    "ttl not": {"ttl": "!64"},
    "len range": {"len": "40-80"},
    "len not": {"len": "!0-60"},
    "fragment": {"fragment": True},
    "whole": {"fragment": False},
    "payload": {"payload": [b"GET ", b"GE", b"\x00\x01"]},
    "payload not": {"payload": b"!GET "},
}


def function_first(kind):
    """A function on one kind of match, then a constant on each."""
    return RuleSet(
        [Rule("r0", KINDS[kind], action=Function({"dscp": 5}, ACCEPT))]
        + [Rule("r%d" % i, match, action=DROP) if i % 3 else
           Rule("r%d" % i, match, {"ttl": 77}, ACCEPT)
           for i, (name, match) in enumerate(KINDS.items(), 1) if match],
        capture=("in", "forward"))


def constant_first(kind):
    """The other way round."""
    return RuleSet(
        [Rule("r0", KINDS[kind], action=DROP)]
        + [Rule("r%d" % i, match, action=Function({"dscp": 5}, ACCEPT))
           for i, (name, match) in enumerate(KINDS.items(), 1) if match],
        capture=("in", "forward"))
