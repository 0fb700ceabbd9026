# SPDX-License-Identifier: GPL-2.0-or-later
"""A host whose far side is silent and sees everything: packets are sent in
batches, each by its own way, and what became of them is collected.

               near                                   far
    raw socket ──► up0, up1 ──────────────────► fu0, fu1: packet sockets;
    packet socket ─┘                            nothing that arrives is answered
    raw sockets ◄── answers to what was rejected
    ingress hook of up0, up1, behind ours ──► ear0 ── ear1: packet socket

What arrives at the host, for itself or for others, is copied to the ear behind
every other chain of the ingress hook, and goes no further: the host answers
nothing of it either.
"""
import contextlib
import errno
import select
import socket
import struct
import time

from funnel import FAR_UP1, FENCE, FENCE_BACK, GROUP, NEAR, STRANGERS, TAG
from host import FAR, FAR1, GW0, GW1, NEAR0, NEAR1, Host
from model import Packet
from net import PATIENCE
from sluice import Sluice

ETH_P_ALL = 3
SILENT = """
table netdev silent {
    chain in {
        type filter hook ingress devices = { fu0, fu1 } priority 0
        ether type ip drop
    }
}
"""
EAR = """
table netdev ear {
    chain in {
        type filter hook ingress devices = { up0, up1 } priority 500
        ether type ip dup to "ear0"
        ether type ip drop
    }
}
"""


class Seen:
    """One packet that came out somewhere: its IP bytes, and where."""

    def __init__(self, where, raw):
        self.where, self.raw = where, raw

    def number(self):
        """Which of ours it is, or None."""
        raw = self.raw
        if raw[-8:-4] == TAG:
            return struct.unpack("!I", raw[-4:])[0]
        head = (raw[0] & 15) * 4
        # TCP without payload, or cut off behind the numbers.
        if raw[9] == 6:
            return (struct.unpack("!I", raw[head + 4:head + 8])[0]
                    - 0x10000000) // 8192
        return None

    def is_fence(self, nonce):
        return self.raw.endswith(nonce)

    def answered(self):
        """Which of our packets it tells the sender of that it was rejected,
        by what it quotes; None: it is no such answer."""
        raw = self.raw
        head = (raw[0] & 15) * 4
        if len(raw) < head + 20 or raw[6] & 0x20:
            return None
        quoted = raw[head + 8:]
        if raw[9] == 1 and raw[head] == 3 and quoted[12:16] == raw[16:20]:
            return struct.unpack("!H", quoted[4:6])[0] - 1
        if raw[9] == 6 and raw[head + 13] & 4 and len(raw) == head + 20:
            seq, ack = struct.unpack("!II", raw[head + 4:head + 12])
            if raw[head + 13] & 16:
                return (ack - 0x10000000) // 8192
            return (seq - 0x50000000) // 8192
        return None


def packet_of(data):
    """Without what follows it in its frame, if it can be told."""
    total = struct.unpack("!H", data[2:4])[0]
    head = (data[0] & 15) * 4
    sane = data[0] >> 4 == 4 and 20 <= head <= total <= len(data)
    return data[:total] if sane else data


def _listen(ns, dev=None, proto=None):
    if dev:
        s = ns.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    else:
        s = ns.socket(socket.AF_INET, socket.SOCK_RAW, proto)
    s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
    if dev:
        s.bind((dev, ETH_P_ALL))  # in front of the ingress hook
    s.setblocking(False)
    return s


class Arena(Host):
    def __init__(self):
        self.sockets, self.wire, self.mac = {}, {}, {}
        self.raw = None
        super().__init__()
        self.far.nft(SILENT)
        self.ear = self.netns("ear")
        # A part of a bridge is no uplink.
        self.near.ip("""
            link add ear0 type veth peer name ear1 netns %s
            link add earbr type bridge
            link set ear0 master earbr
            link set ear0 up
            addr add %s/24 dev up0
            addr add %s/24 dev up1
            """ % (self.ear.name, NEAR[1], NEAR[3]))
        self.ear.ip("link set ear1 up")
        self.near.nft(EAR)
        for key in ("icmp_ratemask", "icmp_ratelimit"):
            self.near.sysctl("net.ipv4." + key, 0)
        for dev in ("up0", "up1", "fu0", "fu1"):
            s = (self.far if dev[0] == "f" else self.near).socket(
                socket.AF_PACKET, socket.SOCK_RAW, 0)
            s.bind((dev, 0))
            self.wire[dev] = s
            self.mac[dev] = s.getsockname()[4]
        self.raw = self.near.socket(socket.AF_INET, socket.SOCK_RAW,
                                    socket.IPPROTO_RAW)
        self._neighbours()
        for dev in ("fu0", "fu1"):
            self.sockets["far " + dev] = _listen(self.far, dev)
        self.sockets["ear"] = _listen(self.ear, "ear1")
        self.sockets["icmp"] = _listen(self.near, proto=socket.IPPROTO_ICMP)
        self.sockets["tcp"] = _listen(self.near, proto=socket.IPPROTO_TCP)
        self.drain()

    def _neighbours(self):
        """Nobody asks for an address: a silent far side would not answer."""
        def text(dev):
            return self.mac[dev].hex(":")
        self.near.ip("\n".join(
            "neigh replace %s lladdr %s dev %s nud permanent" % (
                a, text("fu1" if a in FAR_UP1 else "fu0"),
                "up1" if a in FAR_UP1 else "up0") for a in (GW0, GW1)))
        self.far.ip("\n".join(
            "neigh replace %s lladdr %s dev %s nud permanent" % (
                a, text("up0" if a in NEAR[:2] else "up1"),
                "fu0" if a in NEAR[:2] else "fu1") for a in NEAR))

    def close(self):
        for s in list(self.sockets.values()) + list(self.wire.values()):
            s.close()
        if self.raw:
            self.raw.close()
        super().close()

    # -- sending -----------------------------------------------------------

    def send(self, packet, by):
        """by: "route", a raw socket; "wire", a packet socket of the uplink."""
        data = packet.bytes()
        try:
            if by == "route":
                self.raw.sendto(data, (packet.dst, 0))
                return
            dev = packet.dev
            here, there = dev, dev.replace("up", "fu")
            if packet.dir != "out":
                here, there = there, here
            to = b"\1\0\x5e\1\2\3" if packet.dst == GROUP else self.mac[there]
            self.wire[here].send(to + self.mac[here] + b"\x08\0" + data
                                 + packet.trailer)
        except OSError as e:
            # Dropped in the kernel while it was being sent.
            if e.errno not in (errno.EPERM, errno.ENOBUFS):
                raise

    def fences(self, nonce, port):
        """One by every way that packets go; where each comes out."""
        out = []
        for src, dst, dev in ((NEAR0, FAR, "up0"), (NEAR1, FAR1, "up1")):
            for by in ("route", "wire"):
                out.append((by, Packet(src, dst, 17, sport=9, dport=port,
                                       payload=nonce, dev=dev)))
            for to, direction in ((src, "in"), (STRANGERS[0], "forward")):
                out.append(("wire", Packet(dst, to, 17, sport=9, dport=port,
                                           payload=nonce, dev=dev,
                                           dir=direction)))
        return out

    # -- receiving ---------------------------------------------------------

    def poll(self, seen, timeout):
        ready = select.select(list(self.sockets.values()), [], [], timeout)[0]
        for where, s in self.sockets.items():
            if s not in ready:
                continue
            with contextlib.suppress(BlockingIOError):
                while True:
                    raw, peer = s.recvfrom(65535)
                    if s.family != socket.AF_PACKET:
                        seen.append(Seen(where, raw))
                    elif peer[1] == 0x0800 and peer[2] != 4:  # not outgoing
                        seen.append(Seen(where, packet_of(raw[14:])))
        return bool(ready)

    def drain(self):
        while self.poll([], 0):
            pass

    def batch(self, packets, captured, nonce):
        """Sends (by, packet) pairs; all that came out anywhere, once what was
        sent behind them by every way has."""
        seen = []
        for by, p in packets:
            self.send(p, by)
        fences = self.fences(nonce, FENCE)
        backs = self.fences(nonce, FENCE_BACK)
        for by, p in fences + backs:
            self.send(p, by)
        # A fence that is not captured is not rejected either.
        want = (8, 4 + 2 * len(captured))
        end = time.monotonic() + 15 * PATIENCE
        while True:
            self.poll(seen, 0.5)
            through = [s.raw[9:10] + s.raw[22:24] for s in seen
                       if s.is_fence(nonce)]
            had = (through.count(struct.pack("!BH", 17, FENCE)),
                   len([t for t in through if t[0] == 1]))
            if had[0] >= want[0] and had[1] >= want[1]:
                break
            assert time.monotonic() < end, "fences: %s of %s came out" % (
                had, want)
        return [s for s in seen if not s.is_fence(nonce)]


class QuickSluice(Sluice):
    """Started many times over: the host's state is not compared each time."""

    def start(self, ready=True, timeout=20):
        self.same_after = False
        self._out = open(self._base + ".out", "w")
        self._err = open(self._base + ".err", "w")
        self.proc = self.host.near.popen(self.args, stdout=self._out,
                                         stderr=self._err, env=self.env)
        if ready:
            self.wait_ready(timeout)
        return self

    def stop(self, *args, **kw):
        super().stop(*args, **kw)
        self._out.close()
        self._err.close()
