# SPDX-License-Identifier: GPL-2.0-or-later
"""In the hooks a packet is asked for the conditions of the rules first, and for
everything else only where one holds. So each is decided once, as it was sent,
whoever sent it and whatever others do to it on its way."""
import json
import os
import re
import socket

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from far import UdpServer, send_frame
from host import FAR, FENCE_RULE, GW0, NEAR0
from net import kernel_can, wait_for

WAYS = pytest.mark.parametrize("way", ["route", "wire"])
# What passes through is told from what the host sends by the same bits.
DIRS = pytest.mark.parametrize("dirs", [
    "", 'capture { dir = { "out", "forward" } }\n'], ids=["out", "forward"])
PORT = 5000

# Neither is all: then all would be handed over.
BY = {
    "constant": "rule { name = 'it', match = { proto = 'udp', dport = 5000 }, "
                "action = ACCEPT }",
    "rewritten": "rule { name = 'it', match = { proto = 'udp', dport = 5000 }, "
                 "rewrite = { df = true } }",
    "function": "rule { name = 'it', match = { proto = 'udp', dport = 5000 }, "
                "action = function(pkt) return ACCEPT end }",
    "rewritten and dropped":
        "rule { name = 'it', match = { proto = 'udp', dport = 5000 }, "
        "rewrite = { df = true } } "
        "rule { name = 'drop', match = { proto = 'udp', dport = 5001 }, "
        "action = function(pkt) return DROP end }",
}


def hits(s, name):
    """What the rule counted, once it ended."""
    s.stop()
    m = re.search(r"rule %s: (\d+) packets?" % name, s.stderr)
    assert m, s.stderr
    return int(m.group(1))


def datagram(nonce, **kw):
    return bytes(IP(src=NEAR0, dst=FAR, **kw) / UDP(sport=4000, dport=PORT) /
                 Raw(nonce))


def by_packet_socket(host, packet):
    mac = [json.loads(ns.run(["ip", "-j", "link", "show", dev]).stdout)[0]
           ["address"] for ns, dev in ((host.near, "up0"), (host.far, "fu0"))]
    send_frame(host.near, "up0", bytes(Ether(src=mac[0], dst=mac[1],
                                             type=0x800) / Raw(packet)))


def send_all_ways(host, nonce):
    """How many packets for PORT were sent, each with the nonce."""
    loop = (socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    via = (socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
           socket.inet_aton(NEAR0))
    cast = [(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)]
    host.udp(nonce)
    host.udp(nonce, dev="up0")
    for mark in 0x1000, 0x2000, 0x3000, 0x1234, 0x4000:
        host.udp(nonce, mark=mark)
    for ttl in 1, 64, 253, 254, 255:
        host.udp(nonce, ttl=ttl)
    host.udp(nonce, ("10.66.0.255", PORT), options=cast)
    host.udp(nonce, ("255.255.255.255", PORT), options=cast, dev="up0")
    host.udp(nonce, ("239.1.2.3", PORT), options=[loop, via])
    by_packet_socket(host, datagram(nonce))
    by_packet_socket(host, datagram(nonce, ttl=255))
    raw = host.near.socket(socket.AF_INET, socket.SOCK_RAW,
                           socket.IPPROTO_RAW)
    raw.sendto(datagram(nonce), (FAR, 0))
    raw.close()
    return 18


@WAYS
@DIRS
@pytest.mark.parametrize("by", BY)
def test_each_packet_is_decided_once(host, way, dirs, by):
    nonce = os.urandom(12)
    s = host.sluice(dirs + FENCE_RULE + BY[by], way=way).start()
    with host.capture() as cap:
        n = send_all_ways(host, nonce)
        host.settle(cap)
        assert len(cap.with_bytes(nonce)) == n
    assert hits(s, "it") == n


@WAYS
def test_a_held_connection_is_counted_once(host, way):
    s = host.sluice("""
        rule { name = "it", match = { proto = "udp", dport = 5000 },
               action = function(pkt) pkt.flow:bypass() end }""",
                    way=way).start()
    c = host.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with UdpServer(host.far, FAR, PORT):
        c.settimeout(5)
        c.connect((FAR, PORT))
        for _ in range(200):
            c.send(b"x" * 100)
            c.recv(200)
    c.close()
    held = sum(o["counter"]["packets"] for o in json.loads(
        host.run("nft -j list counters").stdout)["nftables"]
        if o.get("counter", {}).get("name") == "bypassed")
    s.stop()
    seen = int(re.search(r"done: (\d+) packets seen", s.stderr).group(1))
    assert held and seen and held + seen == 200, s.stderr


def test_what_others_change_on_the_way_is_asked_for_as_it_was_sent(host):
    """By route: where it is sent. What leaves is another packet, but it has
    been decided."""
    host.near.nft("""
        table ip theirs {
            chain post {
                type filter hook postrouting priority mangle;
                ip daddr %s ip dscp set 46
                ip daddr %s ip ttl set 7
            }
        }""" % (FAR, FAR))
    nonce = os.urandom(12)
    with host.sluice(FENCE_RULE + """
            rule { name = "dscp", match = { dscp = 46 }, action = DROP }
            rule { name = "ttl", match = { ttl = 7 },
                   action = function(pkt) return DROP end }
            rule { name = "part", match = { len = "0-1500", proto = "udp",
                                            dport = 5001 }, action = DROP }
            """, way="route"), host.capture() as cap:
        host.udp(nonce)
        host.udp(nonce + b"x" * 4000, (FAR, 5001))
        host.settle(cap)
        frames = [f for f in cap.frames if f.ip.dst == FAR]
        assert len(frames) == 4, "one, and one in three parts"
        assert {f.ip.ttl for f in frames} == {7}
        assert {f.ip.tos >> 2 for f in frames} == {46}


@WAYS
def test_what_the_kernel_says_without_a_socket(host, way):
    """A RST that the host's firewall makes is sent like any other packet."""
    host.near.nft("""
        table ip theirs {
            chain input {
                type filter hook input priority filter;
                tcp dport 81 reject with tcp reset
            }
        }""")
    with host.sluice("""
            rule { name = "rst", match = { proto = "tcp", sport = 81 },
                   action = function(pkt) log("rst " .. pkt.dst) end }
            """, way=way) as s, host.capture() as cap:
        c = host.far.socket(socket.AF_INET, socket.SOCK_STREAM)
        c.settimeout(5)
        with pytest.raises(ConnectionRefusedError):
            c.connect((NEAR0, 81))
        c.close()
        s.wait_err("rst " + GW0)
        cap.sync()
        assert s.stderr.count("rst " + GW0) == 1
        assert len([f for f in cap.frames if f.ip.proto == 6]) == 1


# ---- packets in packets ----------------------------------------------------------

class Vxlan:
    """A network behind the host, that reaches the far side inside UDP."""

    def __init__(self, host):
        self.host = host
        self.ns = host.netns("behind")
        host.near.sysctl("net.ipv4.ip_forward", 1)
        host.near.ip("""
            link add lan type veth peer name eth0 netns %s
            addr add 172.20.0.1/24 dev lan
            link set lan up
            """ % self.ns.name)
        self.ns.ip("""
            addr add 172.20.0.2/24 dev eth0
            link set eth0 up
            route add default via 172.20.0.1
            """)

    def tunnel(self):
        for ns, local, remote, addr in (
                (self.host.near, NEAR0, GW0, "172.21.0.1"),
                (self.host.far, GW0, NEAR0, "172.21.0.2")):
            ns.ip("""
                link add vx type vxlan id 5 local %s remote %s dstport 4789
                addr add %s/24 dev vx
                link set vx up
                """ % (local, remote, addr))
        self.host.far.ip("route add 172.20.0.0/24 via 172.21.0.1")

    def ping(self, ns):
        r = ns.run(["ping", "-n", "-q", "-c", 2, "-i", 0.1, "-W", 1,
                    "172.21.0.2"], check=False)
        return int(re.search(r"(\d+) received", r.stdout).group(1))


OUTER = FENCE_RULE + """
rule { name = "outer", match = { proto = "udp", dport = 4789 }, action = %s }
"""


@pytest.mark.parametrize("action", ["DROP", "function() return DROP end"])
@pytest.mark.parametrize("late", [False, True])
@DIRS
@WAYS
def test_the_outer_packet_of_one_that_passes_through(host, way, dirs, late,
                                                     action):
    """It inherits the mark of what passes through, but the host sends it."""
    if not kernel_can("vxlan"):
        pytest.skip("no VXLAN in this kernel")
    x = Vxlan(host)
    if not late:
        x.tunnel()
        wait_for(lambda: x.ping(x.ns) == 2, "the tunnel works")
    with host.sluice(dirs + OUTER % action, way=way) as s:
        s.same_after = not late
        if late:
            x.tunnel()
            s.wait_err("uplink vx is up")
        with host.capture() as cap:
            assert x.ping(x.ns) == 0 and x.ping(host.near) == 0
            host.settle(cap)
        assert not [f for f in cap.frames if f.ip.proto == 17 and
                    f.ip.dport == 4789], "it escaped"
    wait_for(lambda: x.ping(x.ns) == 2, "the tunnel works again")


def has_hook(host):
    return "hook output" in host.run("nft list table ip sluice").stdout


def test_marks_are_cleared_only_where_they_may_be_inherited(host):
    """At the wire: a hook for all that the host sends, for nothing else."""
    with host.sluice(OUTER % "DROP", way="wire") as s:
        s.same_after = False
        assert not has_hook(host)
        host.near.sysctl("net.ipv4.ip_forward", 1)
        host.near.ip("link add vx type vxlan id 5 local %s remote %s "
                     "dstport 4789" % (NEAR0, GW0))
        assert not has_hook(host), "a tunnel that is down"
        host.near.ip("link set vx up")
        wait_for(lambda: has_hook(host), "marks are cleared")
        host.near.ip("link del vx")
        wait_for(lambda: not has_hook(host), "and no longer")
        if not kernel_can("xfrm"):
            return
        policy = ("ip xfrm policy %s src 172.20.0.0/16 dst 172.21.0.0/16 "
                  "dir out")
        host.run((policy % "add") + " tmpl src %s dst %s proto esp mode "
                 "tunnel" % (NEAR0, GW0))
        wait_for(lambda: has_hook(host), "IPsec inherits as well")
        host.near.sysctl("net.ipv4.ip_forward", 0)
        wait_for(lambda: not has_hook(host), "nothing passes through")
        host.near.sysctl("net.ipv4.ip_forward", 1)
        wait_for(lambda: has_hook(host), "it does again")
        host.run(policy % "del")
        wait_for(lambda: not has_hook(host), "the policy is gone")


@pytest.mark.parametrize("kind", ["macvlan", "ipvlan"])
@WAYS
def test_a_container_on_the_uplinks_own_link(host, way, kind):
    """Its packets have a route and a socket, but of another network
    namespace: they leave by the uplink like the host's."""
    if not kernel_can(kind):
        pytest.skip("no %s in this kernel" % kind)
    ns = host.netns("ctr")
    host.near.ip("link add link up0 name c0 netns %s type %s%s" % (
        ns.name, kind, " mode l2" if kind == "ipvlan" else ""))
    ns.ip("addr add 10.66.0.7/24 dev c0\nlink set c0 up")

    def works():
        return ns.run(["ping", "-n", "-q", "-c", 1, "-W", 3, GW0],
                      check=False).returncode == 0

    wait_for(works, "it works without sluice")
    with host.sluice(FENCE_RULE + """
            rule { name = "drop", match = { proto = "udp", dport = 5000 },
                   action = function(pkt) return DROP end }
            """, way=way), host.capture() as cap:
        assert works()
        nonce = os.urandom(12)
        s = ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.sendto(nonce, (GW0, 5000))
        s.close()
        host.settle(cap)
        assert not cap.with_bytes(nonce), "it escaped"
