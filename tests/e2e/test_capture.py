# SPDX-License-Identifier: GPL-2.0-or-later
"""What is captured, beside what else a host may have set up."""
import os
import re
import socket
import threading
import time

import pytest
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from far import (EchoServer, HttpServer, SinkServer, UdpServer,
                 send_frame)
from host import (DROP_ALL, FAR, FAR1, GOOGLE, GW0, LOOK, NEAR0, NEAR1,
                  THROUGH, echo_once)
from net import wait_for
from sluice import one_line, rule
from tunnel import INNER_FAR, PORT, Tunnel

EVERY_WAY = ["route", "wire", "auto"]
every_way = pytest.mark.parametrize("way", EVERY_WAY)


def tcp_works(host, dst=FAR, port=80, **kw):
    with EchoServer(host.far, "0.0.0.0", port) as s:
        c = host.tcp((dst, port), **kw)
        echo_once(c)
        c.close()
        return s.peers[0][0]


def all_is_well(host, ttl=77):
    """The host reaches both sides, through the rules."""
    assert host.udp_through(FAR, ttl).peer[0] == NEAR0
    assert host.udp_through(FAR1, ttl).peer[0] == NEAR1
    assert tcp_works(host) == NEAR0
    assert tcp_works(host, FAR1) == NEAR1
    host.ping(FAR, 2, check=2)


# ---- by route, by wire, by auto ---------------------------------------------

@every_way
def test_two_uplinks_each_with_its_right_source(host, way):
    with host.sluice(THROUGH, way=way):
        all_is_well(host)


def test_auto_takes_the_route_where_nothing_minds(host):
    with host.sluice(THROUGH) as s:
        assert host.udp_through(FAR)
        assert re.search(r"\broute\b", s.stderr), s.stderr


def test_each_packet_is_seen_once(host, way):
    with host.sluice('rule { name = "n", match = { proto = "udp", '
                     'dport = 5999 }, action = function(pkt) '
                     'log("saw " .. pkt.payload .. " by " .. pkt.way) end }',
                     way=way) as s, host.capture() as cap:
        names = []
        for i, kw in enumerate([{}, {"dev": "up0"}, {"mark": 0x1234},
                                {"ttl": 255}, {"dst": (FAR1, 5999)}]):
            name = b"packet-%d-" % i
            kw.setdefault("dst", (FAR, 5999))
            host.udp(name, **kw)
            names.append(name)
        host.settle(cap)
        for name in names:
            s.wait_err("saw " + name.decode())
            assert s.stderr.count("saw " + name.decode()) == 1
            assert len(cap.with_bytes(name)) == 1


# ---- SNAT and masquerade ----------------------------------------------------

NAT = """
table ip nat {
    chain post {
        type nat hook postrouting priority srcnat;
        ip saddr 172.31.0.1 oifname "up0" %s
    }
}
"""


@every_way
@pytest.mark.parametrize("verb,outside", [
    ("masquerade", NEAR0), ("snat to 10.66.0.5", "10.66.0.5")],
    ids=["masquerade", "snat"])
def test_own_source_translation_applies(host, way, verb, outside):
    host.near.ip("addr add 172.31.0.1/32 dev lo\n"
                 "addr add 10.66.0.5/32 dev lo")
    host.near.nft(NAT % verb)
    with host.sluice(THROUGH, way=way):
        d = host.udp_arrives(FAR, src=("172.31.0.1", 0))
        assert d and d.peer[0] == outside and d.ttl == 77
        with EchoServer(host.far, FAR, 80) as s:
            c = host.tcp((FAR, 80), src=("172.31.0.1", 0))
            echo_once(c)
            c.close()
            assert s.peers[0][0] == outside
        assert host.ping(FAR, 2, "-I", "172.31.0.1") == 2


def test_auto_takes_the_wire_where_the_host_translates(host):
    host.near.ip("addr add 172.31.0.1/32 dev lo")
    host.near.nft(NAT % "masquerade")
    with host.sluice('rule { name = "w", match = { proto = "udp" }, '
                     'action = function(pkt) log("by " .. pkt.way) end }'
                     ) as s:
        assert host.udp_arrives(FAR)
        s.wait_err("by wire")
        assert "by route" not in s.stderr


# ---- rp_filter --------------------------------------------------------------

@every_way
@pytest.mark.parametrize("rp", [0, 1, 2])
def test_rp_filter(host, way, rp):
    for dev in ("all", "default", "up0", "up1"):
        host.near.sysctl("net.ipv4.conf.%s.rp_filter" % dev, rp)
    with host.sluice([rule("icmp-echo"), THROUGH], way=way):
        assert host.udp_through(FAR).peer[0] == NEAR0
        assert host.udp_through(FAR1).peer[0] == NEAR1
        assert tcp_works(host) == NEAR0
        assert tcp_works(host, FAR1) == NEAR1
        # Nobody has this address: the reply is made up, and delivered.
        host.ping("192.0.2.77", 2, check=2)


# ---- a FORWARD chain that drops ---------------------------------------------

DOCKER_FORWARD = """
table ip filter {
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        ct state invalid counter drop
    }
}
"""


@every_way
def test_a_forward_chain_with_policy_drop(host, way):
    host.near.nft(DOCKER_FORWARD)
    with host.sluice(THROUGH, way=way):
        all_is_well(host)


def test_route_adds_an_accept_to_the_forward_chain_and_takes_it_away(host):
    host.near.nft(DOCKER_FORWARD)
    before = host.run("nft list table ip filter").stdout
    with host.sluice(THROUGH, way="route"):
        during = host.run("nft list chain ip filter FORWARD").stdout
        assert re.search(r'iifname "?tun0"?.* accept', during), during
        assert during != before
    assert host.run("nft list table ip filter").stdout == before


def test_what_a_rule_sends_elsewhere_passes_a_forward_chain(host, way):
    """Even at the wire: a packet with another destination takes tun0."""
    host.near.nft(DOCKER_FORWARD)
    before = host.run("nft -s list table ip filter").stdout
    with host.sluice("""
            rule { name = "to", match = { dst = "192.0.2.99" },
                   action = function(pkt) pkt.dst = "%s" end }""" % FAR1,
                     way=way), \
            UdpServer(host.far, FAR1, 5000, echo=False) as ear:
        for kw in ({}, {"dev": "up0"}):
            ear.got.clear()
            host.udp(b"elsewhere", ("192.0.2.99", 5000), **kw)
            wait_for(lambda: ear.got, "it arrives")
    assert host.run("nft -s list table ip filter").stdout == before


def test_route_follows_a_forward_chain_that_is_made_later(host):
    with host.sluice(THROUGH, way="route") as s:
        s.same_after = False
        host.near.nft(DOCKER_FORWARD)
        wait_for(lambda: re.search(r'tun0.* accept', host.run(
            "nft list chain ip filter FORWARD").stdout),
            "an accept appears in the new chain")
        all_is_well(host)
    assert "tun0" not in host.run("nft list ruleset").stdout


# ---- output and input filtered by state -------------------------------------

HARDENED = """
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        iif "lo" accept
        ct state established,related accept
    }
    chain output {
        type filter hook output priority filter; policy drop;
        oif "lo" accept
        ct state new,established accept
    }
}
"""


@every_way
def test_output_and_input_dropped_by_policy(host, way):
    host.near.nft(HARDENED)
    with host.sluice(THROUGH, way=way):
        all_is_well(host)


@every_way
def test_a_server_behind_stateful_output_rules_answers(host, way):
    host.near.nft(HARDENED.replace(
        "established,related accept",
        "established,related accept\ntcp dport 80 ct state new accept"))
    with host.sluice(THROUGH, way=way), \
            EchoServer(host.near, NEAR0, 80):
        c = host.far.socket(socket.AF_INET, socket.SOCK_STREAM)
        c.settimeout(10)
        c.connect((NEAR0, 80))
        echo_once(c)
        c.close()


@pytest.mark.parametrize("way", ["wire", "auto"])
def test_hardened_translating_and_forward_drop_all_at_once(host, way):
    host.near.ip("addr add 172.31.0.1/32 dev lo")
    host.near.nft(HARDENED + NAT % "masquerade" + DOCKER_FORWARD)
    with host.sluice(THROUGH, way=way):
        all_is_well(host)
        d = host.udp_arrives(FAR, src=("172.31.0.1", 0))
        assert d and d.peer[0] == NEAR0 and d.ttl == 77


def test_route_refuses_where_both_translation_and_state_are(host):
    host.near.ip("addr add 172.31.0.1/32 dev lo")
    host.near.nft(HARDENED + NAT % "masquerade")
    s = host.sluice(THROUGH, way="route").start(ready=False)
    assert s.wait() == 1
    one_line(s.stderr)
    s.check_after()


# ---- other people's rules and marks -----------------------------------------

@every_way
def test_another_firewalls_flush_ruleset(host, way):
    host.near.nft("table inet theirs { chain o { type filter hook output "
                  "priority 0; }; }")
    with host.sluice(DROP_ALL, way=way) as s:
        s.same_after = False
        assert host.udp_blocked(FAR)
        host.run("nft flush ruleset", check=False)
        assert "theirs" not in host.run("nft list ruleset").stdout
        assert host.udp_blocked(FAR)
        assert host.udp_blocked(FAR, dev="up0")
        host.run("nft flush ruleset", check=False)
        host.near.nft(HARDENED)
        assert host.udp_blocked(FAR)
        assert host.udp_blocked(FAR, dev="up0")


@every_way
def test_other_peoples_marks_survive(host, way):
    """Routing by a mark, and rules in postrouting that look at it."""
    host.near.ip("rule add pref 50 fwmark 0x8234 lookup 200\n"
                 "route add default via 10.67.0.2 table 200")
    host.near.nft("""
        table inet theirs {
            chain post {
                type filter hook postrouting priority 10;
                meta mark & 0xffffcfff == 0x00008234 udp dport 5999 counter
            }
        }""")
    with host.sluice(THROUGH, way=way):
        with host.capture() as cap:
            nonce = os.urandom(12)
            host.udp(nonce, (FAR, 5999), mark=0x8234)
            cap.wait(lambda fs: [f for f in fs if nonce in f.raw],
                     "the marked packet arrives")
        f, = cap.with_bytes(nonce)
        assert f.dev == "fu1", "the mark routes by the second uplink"
        assert f.ip.ttl == 77
    assert "packets 1 " in host.run("nft list table inet theirs").stdout


@every_way
def test_marks_set_by_others_in_output_survive(host, way):
    host.near.nft("""
        table ip theirs {
            chain out {
                type route hook output priority -160;
                udp dport 5999 meta mark set meta mark | 0x00050000
            }
            chain post {
                type filter hook postrouting priority 10;
                meta mark & 0xffff0000 == 0x00050000 udp dport 5999 counter
            }
        }""")
    with host.sluice(THROUGH, way=way):
        host.udp_through(FAR)
    assert re.search(r"packets [1-9]",
                     host.run("nft list table ip theirs").stdout)


# ---- containers -------------------------------------------------------------

class Container:
    """A namespace behind a bridge, as Docker sets one up."""

    def __init__(self, host):
        self.ns = host.netns("ctr")
        host.near.sysctl("net.ipv4.ip_forward", 1)
        host.near.ip("""
            link add docker0 type bridge
            addr add 172.17.0.1/16 dev docker0
            link set docker0 up
            link add vethc type veth peer name eth0 netns %s
            link set vethc master docker0 up
            """ % self.ns.name)
        self.ns.ip("""
            addr add 172.17.0.2/16 dev eth0
            link set eth0 up
            route add default via 172.17.0.1
            """)
        self.ns.run(["ethtool", "-K", "eth0", "tx", "off"])
        host.near.nft("""
            table ip nat {
                chain POSTROUTING {
                    type nat hook postrouting priority srcnat;
                    ip saddr 172.17.0.0/16 oifname != "docker0" masquerade
                }
            }
            table ip filter {
                chain FORWARD {
                    type filter hook forward priority filter; policy drop;
                    oifname "docker0" ct state established,related accept
                    iifname "docker0" oifname != "docker0" accept
                }
            }
            table ip mangle {
                chain PREROUTING {
                    type filter hook prerouting priority mangle;
                    iifname "docker0" meta mark set meta mark | 0x4000
                }
            }""")

    def ping(self, dst=FAR):
        r = self.ns.run(["ping", "-n", "-c", 2, "-i", 0.2, "-W", 3, dst],
                        check=False)
        return int(re.search(r"(\d+) received", r.stdout).group(1))


@every_way
def test_container_traffic_is_not_captured_and_works(host, way):
    ctr = Container(host)
    wait_for(lambda: ctr.ping() == 2, "the container works without sluice")
    with host.sluice(DROP_ALL, way=way):
        assert host.udp_blocked(FAR), "the host's own traffic is captured"
        assert ctr.ping() == 2
        with EchoServer(host.far, FAR, 80) as srv:
            c = ctr.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
            c.settimeout(10)
            c.connect((FAR, 80))
            echo_once(c)
            c.close()
            assert srv.peers[0][0] == NEAR0, "masqueraded"


@every_way
def test_container_traffic_is_not_changed(host, way):
    ctr = Container(host)
    wait_for(lambda: ctr.ping() == 2, "the container works without sluice")
    with host.sluice(THROUGH, way=way), host.capture() as cap:
        nonce = os.urandom(16)
        s = ctr.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.sendto(nonce, (FAR, 5000))
        s.close()
        cap.wait(lambda fs: cap.with_bytes(nonce), "the datagram arrives")
        host.settle(cap)
        f, = cap.with_bytes(nonce)
        assert f.ip.ttl == 63 and f.ip.src == NEAR0


@pytest.mark.parametrize("way", ["wire", "auto"])
def test_container_traffic_is_captured_when_forward_is_asked_for(host, way):
    ctr = Container(host)
    wait_for(lambda: ctr.ping() == 2, "the container works without sluice")
    with host.sluice("""
            capture { dir = { "out", "forward" } }
            rule { name = "f", match = { proto = "udp", dir = "forward" },
                   action = function(pkt)
                       log(pkt.dir .. " " .. pkt.src) pkt.ip.ttl = 88
                   end }
            """, way=way) as sl, host.capture() as cap:
        assert ctr.ping() == 2
        nonce = os.urandom(16)
        s = ctr.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.sendto(nonce, (FAR, 5000))
        s.close()
        cap.wait(lambda fs: cap.with_bytes(nonce), "the datagram arrives")
        host.settle(cap)
        f, = cap.with_bytes(nonce)
        sl.wait_err("forward 172.17.0.2")
        # The rule saw it before the host routed it.
        assert f.ip.ttl in (87, 88) and f.ip.src == NEAR0


# ---- tunnels ----------------------------------------------------------------

@every_way
def test_a_tunnel_as_wg_quick_sets_it_up(host, way):
    with Tunnel(host, FAR):
        host.ping(GOOGLE, 2, check=2)
        with host.sluice(LOOK, way=way), host.capture() as cap:
            host.ping(GOOGLE, 3, check=3)
            host.ping(INNER_FAR, 1, check=1)
            # What the tunnel does not take goes as before.
            host.ping(GW0, 1, check=1)
        outer = [f for f in cap.frames if f.ip.proto == 17 and
                 f.ip.dport == PORT]
        assert 4 <= len(outer) < 30, "no loop: %d" % len(outer)
        assert not [f for f in cap.frames if f.ip.dst == GOOGLE]


@every_way
def test_a_tunnel_started_later(host, way):
    with host.sluice(LOOK, way=way) as s:
        s.same_after = False
        with Tunnel(host, FAR):
            with host.capture() as cap:
                host.ping(GOOGLE, 3, check=3)
            outer = [f for f in cap.frames if f.ip.proto == 17 and
                     f.ip.dport == PORT]
            assert 3 <= len(outer) < 30, "no loop: %d" % len(outer)


@every_way
def test_both_the_inner_and_the_outer_packet_meet_the_rules(host, way):
    with Tunnel(host, FAR):
        with host.sluice("""
                rule { name = "inner", match = { proto = "icmp" },
                       action = function(pkt) log("inner " .. pkt.dst) end }
                rule { name = "outer",
                       match = { proto = "udp", dport = 51820 },
                       action = function(pkt) log("outer " .. pkt.dst) end }
                """, way=way) as s:
            host.ping(GOOGLE, 1, check=1)
            s.wait_err("inner " + GOOGLE)
            s.wait_err("outer " + FAR)


# ---- PMTU -------------------------------------------------------------------

BEYOND = "192.168.77.2"


def narrow_network(host):
    """Behind the far side, over a link of 1300 bytes."""
    ns = host.netns("beyond")
    host.far.sysctl("net.ipv4.ip_forward", 1)
    host.far.ip("""
        link add narrow type veth peer name eth0 netns %s
        addr add 192.168.77.1/24 dev narrow
        link set narrow mtu 1300 up
        """ % ns.name)
    ns.ip("""
        addr add 192.168.77.2/24 dev eth0
        link set eth0 mtu 1300 up
        route add default via 192.168.77.1
        """)
    return ns


@every_way
def test_pmtu_discovery_over_a_smaller_mtu(host, way):
    ns = narrow_network(host)
    with host.sluice(LOOK, way=way):
        r = host.run(["ping", "-n", "-M", "do", "-s", 1400, "-c", 1, "-W", 3,
                      BEYOND], check=False)
        assert re.search(r"mtu ?= ?1300", r.stdout + r.stderr), r
        assert "mtu 1300" in host.run(["ip", "route", "get", BEYOND]).stdout
        host.run("ip route flush cache")
        with SinkServer(ns, BEYOND, 80) as sink:
            c = host.tcp((BEYOND, 80))
            c.sendall(os.urandom(400000))
            c.close()
            wait_for(lambda: sink.done, "the upload ends", 20)
            assert sink.total == 400000


@every_way
def test_datagrams_larger_than_the_uplinks_mtu(host, way):
    with host.sluice(LOOK, way=way):
        ears, nonce = host._ears(), os.urandom(5000)
        host.udp(nonce, (FAR, 5999))
        wait_for(lambda: ears[5999].with_data(nonce),
                 "5000 bytes arrive whole")


@every_way
def test_an_uplink_with_a_small_mtu(host, way):
    host.near.ip("link set up0 mtu 1280")
    host.far.ip("link set fu0 mtu 1280")
    with host.sluice(LOOK, way=way), SinkServer(host.far, FAR, 80) as sink:
        c = host.tcp((FAR, 80))
        c.sendall(os.urandom(300000))
        c.close()
        wait_for(lambda: sink.done, "the upload ends", 20)
        assert sink.total == 300000


# ---- changes while it runs --------------------------------------------------

@every_way
def test_an_address_changes_while_it_runs(host, way):
    with host.sluice(THROUGH, way=way) as s:
        s.same_after = False
        assert host.udp_through(FAR).peer[0] == NEAR0
        host.near.ip("""
            addr del 10.66.0.1/24 dev up0
            addr add 10.66.0.80/24 broadcast + dev up0
            route replace default via 10.66.0.2
            """)
        assert host.udp_through(FAR).peer[0] == "10.66.0.80"
        assert tcp_works(host) == "10.66.0.80"
        host.ping(FAR, 1, check=1)
        # The former address is somebody else's now.
        host.far.ip("addr add 10.66.0.1/32 dev fu0")
        host.far.ip("route add 10.66.0.80/32 dev fu0")
        wait_for(lambda: host.udp_arrives(NEAR0).ttl == 77,
                 "packets to the former address meet the rules")


@every_way
def test_nothing_escapes_while_an_address_changes(host, way):
    """The uplink is without an address for a moment, and is none the less
    the uplink."""
    with host.sluice(THROUGH, way=way) as s, host.capture(expr="udp") as cap:
        s.same_after = False
        host.near.ip("""
            addr del 10.66.0.1/24 dev up0
            addr add 10.66.0.80/24 broadcast + dev up0
            route replace default via 10.66.0.2
            """)
        for _ in range(40):
            host.udp(b"escaped?", (FAR, 5000))
            host.udp(b"escaped?", (FAR, 5000), dev="up0")
            time.sleep(0.002)
        host.settle(cap)
        got = [f.ip.ttl for f in cap.with_bytes(b"escaped?")]
        assert got.count(77) == len(got) == 80


@every_way
def test_the_default_route_changes_while_it_runs(host, way):
    with host.sluice(DROP_ALL, way=way) as s, \
            EchoServer(host.far, "0.0.0.0", 7777):
        s.same_after = False
        assert host.udp_blocked(FAR)
        host.near.ip("route replace default via 10.67.0.2")
        assert host.udp_blocked(FAR)
        host.near.ip("route add 198.51.100.0/24 via 10.66.0.2")
        assert host.udp_blocked(FAR)
        assert host.udp_blocked(FAR, dev="up1")


@every_way
def test_an_open_connection_outlives_other_addresses(host, way):
    with host.sluice(THROUGH, way=way) as s, EchoServer(host.far, FAR, 80):
        s.same_after = False
        c = host.tcp((FAR, 80))
        echo_once(c)
        for i in range(20, 26):
            host.near.ip("addr add 10.66.0.%d/24 dev up0" % i)
            echo_once(c)
            host.near.ip("addr del 10.66.0.%d/24 dev up0" % i)
            echo_once(c)
        c.close()


@every_way
def test_an_uplink_goes_and_comes_back(host, way):
    with host.sluice(DROP_ALL, way=way) as s:
        s.same_after = False
        host.near.ip("link set up0 down")
        host.near.ip("route add default via 10.67.0.2")
        assert host.udp_blocked(FAR)
        host.near.ip("link set up0 up")
        host.near.ip("route replace default via 10.66.0.2")
        wait_for(lambda: host.udp_blocked(FAR, dev="up0"),
                 "up0 is captured at the wire again")
        for kw in ({}, {"dev": "up0"}, {"mark": 0x1234}, {"dev": "up1"}):
            assert host.udp_blocked(FAR, **kw)


@every_way
def test_an_uplink_that_appears_is_captured(host, way):
    with host.sluice(DROP_ALL, way=way) as s:
        s.same_after = False
        host.near.ip("link add up2 type veth peer name fu2 netns "
                     + host.far.name)
        host.far.ip("addr add 10.68.0.2/24 dev fu2\nlink set fu2 up")
        host.near.ip("addr add 10.68.0.1/24 dev up2\nlink set up2 up")
        wait_for(lambda: host.udp_blocked("10.68.0.2", dev="up2"),
                 "up2 is captured at the wire")
        for kw in ({}, {"dev": "up2"}, {"mark": 0x1234}, {"ttl": 255}):
            assert host.udp_blocked("10.68.0.2", **kw)


@every_way
def test_an_uplink_that_is_removed_takes_nothing_with_it(host, way):
    with host.sluice(DROP_ALL, way=way) as s:
        s.same_after = False
        host.near.ip("link del up1")
        for kw in ({}, {"dev": "up0"}, {"mark": 0x1234}):
            assert host.udp_blocked(FAR, **kw)
        assert s.returncode is None


@every_way
def test_an_uplink_is_renamed(host, way):
    with host.sluice(DROP_ALL, way=way) as s:
        s.same_after = False
        host.near.ip("link set up1 down\nlink set up1 name wan9\n"
                     "link set wan9 up")
        wait_for(lambda: host.udp_blocked("10.67.0.2", dev="wan9"),
                 "wan9 is captured at the wire")
        assert host.udp_blocked("10.67.0.2")


@every_way
def test_an_uplink_without_an_ethernet_header(host, way):
    """A TUN as the uplink: no link header, no neighbour."""
    with Tunnel(host, FAR):
        with host.sluice(THROUGH, way=way):
            d = host.udp_arrives(GOOGLE, dev="wg0")
            assert d and d.ttl == 77, d
            d = host.udp_arrives(INNER_FAR, mark=0x1234)
            assert d and d.ttl == 77, d


# ---- what is not captured ---------------------------------------------------

@every_way
def test_loopback_and_local_addresses_are_not_captured(host, way):
    with host.sluice(DROP_ALL, way=way):
        assert host.udp_blocked(FAR)
        host.ping("127.0.0.1", 1, check=1)
        host.ping(NEAR0, 1, check=1)
        host.ping(NEAR1, 1, check=1)
        with EchoServer(host.near, "0.0.0.0", 8080):
            for addr in ("127.0.0.1", NEAR0, "127.9.9.9"):
                c = host.tcp((addr, 8080))
                echo_once(c)
                c.close()


@every_way
def test_what_arrives_is_not_captured_unless_asked_for(host, way):
    with host.sluice("""
            rule { name = "in", match = { proto = "icmp",
                   icmp_type = "echo-request" }, action = DROP }
            rule { name = "see", action = function(pkt) log(pkt.dir) end }
            """, way=way) as s:
        r = host.far.run(["ping", "-n", "-c", 2, "-i", 0.2, "-W", 3, NEAR0])
        assert "2 received" in r.stdout
        s.wait_err("out")
        assert not re.search(r"\bin\b$", s.stderr, re.M)


# ---- no loop ----------------------------------------------------------------

def tun0_packets(host):
    r = host.run("cat /sys/class/net/tun0/statistics/rx_packets "
                 "/sys/class/net/tun0/statistics/tx_packets").stdout
    return sum(map(int, r.split()))


@every_way
@pytest.mark.parametrize("dst", ["192.0.0.8", "192.0.0.1", "192.0.0.9"])
def test_no_loop_by_a_packet_to_tun0s_own_address_or_network(host, way, dst):
    with host.sluice(LOOK, way=way), host.capture() as cap:
        for kw in ({}, {"dev": "up0"}, {"mark": 0x1234}, {"ttl": 255},
                   {"dev": "tun0"}, {"mark": 0x1000}):
            try:
                host.udp(b"loop?", (dst, 5000), **kw)
            except OSError:
                pass
        frame = (b"\x02" * 6 + b"\x02" * 6 + b"\x08\x00" +
                 bytes(IP(src=NEAR0, dst=dst) / UDP() / Raw(b"loop?")))
        send_frame(host.near, "up0", frame)
        host.settle(cap)
        time.sleep(0.5)
        first = tun0_packets(host)
        time.sleep(0.5)
        assert tun0_packets(host) == first, "packets go round"
        assert first < 100
        assert len(cap.with_bytes(b"loop?")) <= 7


@every_way
def test_no_loop_by_a_rule_that_turns_packets_to_tun0(host, way):
    with host.sluice("""
            rule { name = "turn", match = { proto = "udp", dport = 5999 },
                   action = function(pkt) pkt.dst = "192.0.0.8" end }
            """, way=way), host.capture() as cap:
        host.udp(b"turned", (FAR, 5999))
        host.settle(cap)
        first = tun0_packets(host)
        time.sleep(0.5)
        assert tun0_packets(host) == first < 100
        assert not cap.with_bytes(b"turned")


@every_way
def test_no_loop_by_a_rule_that_sends_a_copy(host, way):
    """A copy made by a rule does not meet the rules again."""
    with host.sluice("""
            rule { name = "twice", match = { proto = "udp", dport = 5999 },
                   action = function(pkt) return { pkt, pkt:clone() } end }
            """, way=way), host.capture() as cap:
        host.udp(b"doubled", (FAR, 5999))
        host.settle(cap)
        assert len(cap.with_bytes(b"doubled")) == 2


# ---- auto changes its mind --------------------------------------------------

@pytest.mark.parametrize("what", ["nat", "forward", "state"])
def test_auto_goes_to_the_wire_without_losing_a_connection(host, what):
    text = {"nat": NAT % "masquerade", "forward": DOCKER_FORWARD,
            "state": HARDENED}[what]
    ways = """
        rule { name = "w", match = { proto = "udp", dport = 5999 },
               action = function(pkt) log("by " .. pkt.way .. ".") end }
        """ + THROUGH
    host.near.ip("addr add 172.31.0.1/32 dev lo")
    # The host tracks connections from the start, else the one that is open
    # is unknown to the rules that come later, whatever sluice does.
    host.near.nft("table inet track { chain c { type filter hook input "
                  "priority 50; ct state established counter; }; }")
    with host.sluice(ways) as s, EchoServer(host.far, FAR, 8080):
        s.same_after = False
        host.udp_through(FAR)
        s.wait_err("by route.")
        c, stop, rounds, trouble = host.tcp((FAR, 8080)), [], [0], []

        def transfer():
            try:
                while not stop:
                    echo_once(c, os.urandom(20000))
                    rounds[0] += 1
            except (OSError, AssertionError) as e:
                trouble.append(e)
        t = threading.Thread(target=transfer)
        t.start()
        try:
            wait_for(lambda: rounds[0] > 5, "the transfer runs")
            host.near.nft(text)

            def by_wire():
                host.udp_arrives(FAR)
                return "by wire." in s.stderr
            wait_for(by_wire, "it goes by the wire now")
            now = rounds[0]
            wait_for(lambda: rounds[0] > now + 5 or trouble,
                     "the transfer goes on")
        finally:
            stop.append(1)
            t.join(20)
            c.close()
        assert not trouble, trouble
        all_is_well(host)
        assert re.search(r"\bwire\b", s.stderr)


@pytest.mark.parametrize("way", ["route", "wire"])
def test_what_was_insisted_on_stays(host, way):
    host.near.ip("addr add 172.31.0.1/32 dev lo")
    with host.sluice("""
            rule { name = "w", match = { proto = "udp", dport = 5999 },
               action = function(pkt) log("by " .. pkt.way .. ".") end }
            """, way=way) as s:
        s.same_after = False
        assert host.udp_arrives(FAR)
        s.wait_err("by %s." % way)
        host.near.nft(NAT % "masquerade")
        time.sleep(0.5)
        assert host.udp_arrives(FAR)
        other = {"route": "wire", "wire": "route"}[way]
        assert "by %s." % other not in s.stderr


# ---- TTL --------------------------------------------------------------------

@every_way
@pytest.mark.parametrize("ttl", [1, 2, 64, 254, 255])
def test_ttl_on_the_wire_is_what_the_application_sent(host, way, ttl):
    with host.sluice(LOOK, way=way):
        d = host.udp_arrives(FAR, ttl=ttl)
        assert d and d.ttl == ttl


@every_way
def test_traceroute_shows_no_extra_hop(host, way):
    with host.sluice(LOOK, way=way):
        r = host.run(["traceroute", "-n", "-w", 2, "-q", 1, FAR])
        hops = [l.split()[1] for l in r.stdout.splitlines()[1:]]
        assert hops == [FAR]
        r = host.run(["ping", "-n", "-c", 1, "-t", 1, "-W", 3, GW0])
        assert "1 received" in r.stdout


# ---- several workers, other names -------------------------------------------

def test_the_marks_table_pref_and_device_can_be_chosen(host, way):
    with host.sluice(THROUGH, "--dev", "sl7", "--table", 777, "--mark",
                     "0x10000/0x30000", "--pref", 555, way=way):
        assert "tun0" not in host.run("ip link").stdout
        if way == "route":
            assert re.search(r"^555:.*lookup 777", host.run("ip rule").stdout,
                             re.M)
            assert "sl7" in host.run("ip route show table 777").stdout
        all_is_well(host)
        for kw in ({"mark": 0x1000}, {"mark": 0x10000}, {"mark": 0x30000},
                   {"dev": "up0"}):
            assert host.udp_through(FAR, **kw)


def test_several_workers(host, way):
    with host.sluice(THROUGH, "--workers", 2, way=way) as s:
        assert len(s.workers()) == 2
        for _ in range(8):
            assert host.udp_through(FAR)
        all_is_well(host)


def test_the_main_routing_is_untouched_while_it_runs(host, way):
    """Only an ip rule and a table of its own."""
    before = host.run("ip route show table main").stdout
    with host.sluice(THROUGH, way=way):
        assert host.run("ip route show table main").stdout == before
        assert host.near.sysctl("net.ipv4.ip_forward") == "0"
        for dev in ("all", "default", "up0", "up1"):
            assert host.near.sysctl(
                "net.ipv4.conf.%s.accept_local" % dev) == "0"
            assert host.near.sysctl(
                "net.ipv4.conf.%s.forwarding" % dev) == "0"


@every_way
def test_http_from_the_far_side_by_curl(host, way):
    with host.sluice(THROUGH, way=way), \
            HttpServer(host.far, FAR, 80, body=b"x" * 50000):
        for extra in ([], ["--interface", "up0"]):
            r = host.run(["curl", "-sS", "-m", 10, *extra,
                          "http://%s/" % FAR])
            assert r.stdout == "x" * 50000


@every_way
def test_datagrams_of_one_socket_keep_their_order(host, way):
    with host.sluice(LOOK, way=way), host.capture() as cap:
        names = [b"order-%02d-" % i for i in range(40)]
        s = host.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((NEAR0, 4000))
        for n in names:
            s.sendto(n, (FAR, 5999))
        s.close()
        host.settle(cap)
        got = [f.raw[42:51] for f in cap.frames if b"order-" in f.raw]
        assert got == names
