# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing escapes: whatever way a packet is sent, a rule sees it, once.

One packet each; a rule that drops everything leaves the far side without it,
a rule that accepts leaves exactly one, TTL and bytes as sent."""
import os
import socket
import struct
import time

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from far import send_frame
from host import (FAR, FAR1, FENCE, FENCE_RULE, GW1, NEAR0, Host,
                  dropped_in_the_kernel)


class Case:
    """How one packet is sent, and what the far side must then have.

    send(host, nonce) sends; the packet carries the nonce (or found() says how
    it is known). whole(host, nonce): the IP packet as sent, when all its bytes
    are ours.
    """

    def __init__(self, name, send, ttl=64, dev="fu0", count=1, found=None,
                 whole=None):
        self.name, self.send, self.ttl, self.dev = name, send, ttl, dev
        self.count, self.found, self.whole = count, found, whole

    def frames(self, frames, nonce):
        if self.found:
            return [f for f in frames if self.found(f, nonce)]
        return [f for f in frames if nonce in f.raw]


def udp(**kw):
    return lambda h, nonce: h.udp(b"escape" + nonce, **kw)


def mac(ns, dev):
    import json
    r = ns.run(["ip", "-j", "link", "show", dev])
    return json.loads(r.stdout)[0]["address"]


def ip_packet(nonce, **kw):
    kw.setdefault("src", NEAR0)
    kw.setdefault("dst", FAR)
    kw.setdefault("id", 4711)
    return bytes(IP(**kw) / UDP(sport=4000, dport=5000) / Raw(nonce))


def by_packet_socket(build=ip_packet, dst_mac=None, **kw):
    def send(h, nonce):
        frame = Ether(src=mac(h.near, "up0"),
                      dst=dst_mac or mac(h.far, "fu0"),
                      type=0x800) / Raw(build(nonce, **kw))
        send_frame(h.near, "up0", bytes(frame))
    return send


def by_packet_socket_dgram(h, nonce):
    s = h.near.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    dst = bytes.fromhex(mac(h.far, "fu0").replace(":", ""))
    s.sendto(ip_packet(nonce), ("up0", 0x800, 0, 0, dst))
    s.close()


def by_raw_socket(packet=ip_packet, dst=FAR, mark=None, dev=None, **kw):
    def send(h, nonce):
        s = h.near.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        if mark is not None:
            s.setsockopt(socket.SOL_SOCKET, 36, mark)
        if dev:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE,
                         dev.encode())
        s.sendto(packet(nonce, dst=dst, **kw), (dst, 0))
        s.close()
    return send


def multicast(ttl, **kw):
    return udp(dst=("239.1.2.3", 5000), options=[
        (socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl),
        (socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0),
        (socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
         socket.inet_aton(NEAR0))], **kw)


BROADCAST = [(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)]


def group_of(nonce):
    return bytes([239, 255, nonce[0], nonce[1] or 1])


def igmp_join(h, nonce):
    s = h.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                 group_of(nonce) + socket.inet_aton(NEAR0))
    h.keep.append(s)  # leaving would be a second report


def igmp_found(f, nonce):
    return f.ip is not None and f.ip.proto == 2 and group_of(nonce) in f.raw


def dhcp(nonce, **kw):
    return bytes(IP(src="0.0.0.0", dst="255.255.255.255", id=1, ttl=64) /
                 UDP(sport=68, dport=67) / Raw(nonce))


def tcp_syn(nonce, **kw):
    return bytes(IP(src=NEAR0, dst=kw.get("dst", FAR), id=7) /
                 TCP(sport=4001, dport=5001, flags="S", seq=1) / Raw(nonce))


def icmp_echo(nonce, **kw):
    return bytes(IP(src=NEAR0, dst=kw.get("dst", FAR), id=7) /
                 ICMP(id=3, seq=1) / Raw(nonce))


def protocol_253(nonce, **kw):
    return bytes(IP(src=NEAR0, dst=kw.get("dst", FAR), id=7, proto=253) /
                 Raw(nonce))


CASES = [
    Case("plain_socket", udp()),
    Case("plain_socket_second_uplink", udp(dst=(FAR1, 5000)), dev="fu1"),
    Case("bound_to_device", udp(dev="up0")),
    Case("bound_to_the_other_device", udp(dst=(GW1, 5000),
                                          dev="up1"), dev="fu1"),
    Case("marked_by_somebody", udp(mark=0x1234)),
    Case("marked_with_one_bit_of_somebody", udp(mark=0x4000)),
    Case("marked_with_our_divert_bit", udp(mark=0x1000)),
    Case("marked_with_our_seen_bit", udp(mark=0x2000)),
    Case("marked_with_both_our_bits", udp(mark=0x3000)),
    Case("marked_and_bound", udp(mark=0x2000, dev="up0")),
    Case("packet_socket", by_packet_socket(), whole=ip_packet),
    Case("packet_socket_dgram", by_packet_socket_dgram, whole=ip_packet),
    Case("packet_socket_ttl_255", by_packet_socket(ttl=255), ttl=255,
         whole=lambda n: ip_packet(n, ttl=255)),
    Case("packet_socket_dhcp", by_packet_socket(
        dhcp, dst_mac="ff:ff:ff:ff:ff:ff"), whole=dhcp),
    Case("raw_socket_with_own_header", by_raw_socket(), whole=ip_packet),
    Case("raw_socket_marked_as_seen", by_raw_socket(mark=0x2000),
         whole=ip_packet),
    Case("raw_socket_bound", by_raw_socket(dev="up0"), whole=ip_packet),
    Case("raw_socket_ttl_255", by_raw_socket(ttl=255), ttl=255,
         whole=lambda n: ip_packet(n, ttl=255)),
    Case("raw_socket_ttl_1", by_raw_socket(ttl=1), ttl=1,
         whole=lambda n: ip_packet(n, ttl=1)),
    Case("raw_tcp_syn", by_raw_socket(tcp_syn), whole=tcp_syn),
    Case("raw_icmp", by_raw_socket(icmp_echo), whole=icmp_echo),
    Case("raw_unknown_protocol", by_raw_socket(protocol_253),
         whole=protocol_253),
    Case("multicast_ttl_1", multicast(1), ttl=1),
    Case("multicast_ttl_4", multicast(4), ttl=4),
    Case("multicast_marked_as_seen", multicast(4, mark=0x2000), ttl=4),
    Case("subnet_broadcast", udp(dst=("10.66.0.255", 5000),
                                 options=BROADCAST)),
    Case("limited_broadcast", udp(dst=("255.255.255.255", 5000), dev="up0",
                                  options=BROADCAST)),
    Case("igmp_join", igmp_join, ttl=1, found=igmp_found),
    Case("ttl_255", udp(ttl=255), ttl=255),
    Case("ttl_1", udp(ttl=1), ttl=1),
    Case("ttl_64", udp(ttl=64), ttl=64),
]

RULES = {
    "no_sluice": None,
    "drop": FENCE_RULE + "rule { name = 'drop', "
                         "action = function(pkt) return DROP end }",
    "drop_constant": FENCE_RULE + "rule { name = 'drop', action = DROP }",
    "drop_policy": FENCE_RULE + "policy(DROP)",
    # As long as there are packets that no rule wants, the kernel asks for the
    # conditions first and for everything else behind them.
    "drop_matched": FENCE_RULE + """
        rule { name = "drop", match = { len = "21-65535" },
               action = function(pkt) return DROP end }""",
    # What is dear to ask for is not asked for twice.
    "drop_matched_with_a_set": FENCE_RULE + """
        rule { name = "set", match = { dst = set { "192.0.2.77" } },
               action = DROP }
        rule { name = "drop", match = { len = "21-65535" },
               action = function(pkt) return DROP end }""",
    "drop_matched_with_forward": FENCE_RULE + """
        capture { dir = { "out", "forward" } }
        rule { name = "drop", match = { len = "21-65535" },
               action = function(pkt) return DROP end }""",
    "accept_matched": """
        rule { name = "accept", match = { len = "21-65535" },
               action = function(pkt) return ACCEPT end }""",
    "accept_by_constant": """
        rule { name = "accept", match = { len = "21-65535" },
               action = ACCEPT }""",
    "accept": "rule { name = 'accept', "
              "action = function(pkt) return ACCEPT end }",
    "go_on": "rule { name = 'look', action = function(pkt) end }",
}


class Running:
    """A host, a sluice on it, and a capture that goes on."""

    def __init__(self, way, rules):
        self.way, self.rules = way, rules
        self.host = Host()
        self.host.keep = []
        self.sluice = self.cap = None
        self.trouble = None
        try:
            if RULES[rules]:
                self.sluice = self.host.sluice(RULES[rules], way=way).start()
        except AssertionError as e:
            self.trouble = e
        self.cap = self.host.capture()
        self.cap.__enter__()

    def close(self):
        try:
            for s in self.host.keep:
                s.close()
            self.cap.__exit__(None, None, None)
            if self.sluice and not self.trouble:
                self.sluice.stop()
            elif self.sluice:
                self.sluice.abandon()
        finally:
            self.host.close()


SETUPS = [("-", "no_sluice")] + [
    (way, rules) for way in ("route", "wire", "auto")
    for rules in RULES if rules != "no_sluice"
    if way != "auto" or rules in ("drop", "accept")]


@pytest.fixture(scope="module", params=SETUPS, ids="-".join)
def running(request):
    r = Running(*request.param)
    yield r
    r.close()


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_nothing_escapes(running, case):
    if running.trouble:
        raise AssertionError(str(running.trouble))
    nonce = os.urandom(12)
    if running.rules.startswith("drop"):
        with dropped_in_the_kernel():
            case.send(running.host, nonce)
    else:
        case.send(running.host, nonce)
    if case.found:
        # Sent by the kernel after a delay of its own choosing.
        if not running.rules.startswith("drop"):
            running.cap.wait(lambda fs: case.frames(fs, nonce), case.name)
        else:
            time.sleep(0.3)
    running.host.settle(running.cap, FENCE)
    got = case.frames(running.cap.frames, nonce)
    if running.rules.startswith("drop"):
        assert got == [], "it escaped"
        return
    assert len(got) == case.count, "%d instead of %d: %r" % (
        len(got), case.count, got)
    for f in got:
        assert f.dev == case.dev
        assert f.ip.ttl == case.ttl
        if case.whole:
            n = f.ip.len
            assert f.raw[14:14 + n] == case.whole(nonce)


def test_dropped_means_the_far_side_heard_nothing_at_all(running):
    """Not one IP packet but the fences, over all that was sent above."""
    if running.trouble:
        raise AssertionError(str(running.trouble))
    if not running.rules.startswith("drop"):
        return
    running.host.settle(running.cap, FENCE)
    others = [f for f in running.cap.frames
              if struct.pack("!H", FENCE) != f.raw[14 + 20 + 2:14 + 20 + 4]]
    # The far side's own words (port unreachable) are not from the host.
    others = [f for f in others if f.ip.src not in (FAR, "10.66.0.2",
                                                    "10.67.0.2")]
    assert others == [], "escaped: %r" % others
