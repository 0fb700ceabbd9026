# SPDX-License-Identifier: GPL-2.0-or-later
"""via(): a packet goes on by the interface that a rule names, with the source
that belongs there, or nowhere; what answers comes back to who asked."""
import contextlib
import errno
import hashlib
import json
import os
import re
import socket
import time

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP

from far import EchoServer, HelloServer, SinkServer, UdpServer
from host import (FAR, FENCE_RULE, GOOGLE, GW0, NEAR0, NEAR1,
                  dropped_in_the_kernel, echo_once)
from net import snapshot, snapshot_diff, wait_for
from sluice import rule, sluice
from test_capture import Container
from tunnel import INNER_FAR, INNER_NEAR, MARK, PORT, Tunnel

every_way = pytest.mark.parametrize("way", ["route", "wire"])

# All but the fence, which may leave by the host's own routes.
VIA = FENCE_RULE + """
rule { name = "v", match = { dst = "198.51.100.0/24" },
       action = function(pkt) return via("up1") end }
"""

# The same as a constant: the kernel does it all.
CONSTANT = """
rule { name = "fence", match = { proto = "udp", dport = 7777 },
       action = ACCEPT }
rule { name = "v", match = { dst = "198.51.100.0/24" }, action = via("up1") }
"""
by_whom = pytest.mark.parametrize("text", [VIA, CONSTANT],
                                  ids=["function", "constant"])

# A host that lets in only what it asked for, and forwards nothing.
HARDENED = """
table inet theirs {
    chain i {
        type filter hook input priority 0; policy drop;
        iif lo accept
        ct state established,related accept
    }
    chain f {
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
    }
    chain o {
        type filter hook output priority 0; policy accept;
        ct state invalid counter drop
    }
}
"""
MASQUERADE = """
table ip nat {
    chain post {
        type nat hook postrouting priority 100;
        oifname { "up0", "up1" } masquerade
    }
}
"""


def ask(host, server, timeout=5, **kw):
    """A datagram to the echo server at FAR and back: who it said it was from,
    or None."""
    s = host.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
    nonce = os.urandom(12)
    try:
        s.settimeout(timeout)
        s.connect((FAR, server.port))
        with lost():
            s.send(nonce)
        try:
            assert s.recv(100) == nonce
        except (socket.timeout, ConnectionRefusedError):
            return None
    finally:
        s.close()
    return server.with_data(nonce)[0].peer[0]


def asked_in_time(host, server):
    wait_for(lambda: ask(host, server, timeout=0.5) == NEAR1,
             "packets go by up1", 15)


@contextlib.contextmanager
def lost():
    """Between an interface and its routes the sender may be told."""
    try:
        with dropped_in_the_kernel():
            yield
    except OSError as e:
        if e.errno != errno.EINVAL:
            raise


def by(cap, nonce):
    return {f.dev for f in cap.with_bytes(nonce)}


@by_whom
@every_way
def test_connections_and_their_answers(host, text, way):
    """TCP, UDP and ping; all of it by the interface, from its address, and
    nothing of it by the other; the TTL is that of the sender."""
    with host.sluice(text, way=way), EchoServer(host.far, FAR, 80) as tcp, \
            UdpServer(host.far, FAR, 5000) as udp, host.capture() as cap:
        with host.tcp((FAR, 80)) as c:
            assert c.getsockname()[0] == NEAR0, "for the host it is from here"
            for _ in range(3):
                echo_once(c)
        assert {p[0] for p in tcp.peers} == {NEAR1}
        assert ask(host, udp) == NEAR1
        assert {d.ttl for d in udp.got} == {64}
        host.ping(FAR, 2, check=2)
        host.settle(cap)
    seen = [f for f in cap.frames if f.ip.dst == FAR]
    assert seen and {f.dev for f in seen} == {"fu1"}
    assert {f.ip.src for f in seen} == {NEAR1}
    assert {f.ip.ttl for f in seen} == {64}
    for f in seen:  # checksums, as scapy would have them
        again = f.ip.copy()
        for layer in (IP, TCP, UDP, ICMP):
            if layer in again:
                del again[layer].chksum
        assert bytes(again.__class__(bytes(again))) == bytes(f.ip)


@by_whom
@every_way
def test_an_upload_of_super_packets(offload_host, text, way):
    host = offload_host
    data = os.urandom(1 << 20) * 16
    with host.sluice(text, way=way), SinkServer(host.far, FAR, 5001) as sink:
        with host.tcp((FAR, 5001)) as c:
            c.sendall(data)
        wait_for(lambda: sink.done, "the upload ends", 40)
        assert sink.digest.digest() == hashlib.sha256(data).digest()
        assert {p[0] for p in sink.peers} == {NEAR1}


@by_whom
@every_way
def test_a_smaller_mtu_there_is_told_to_the_sender(host, text, way):
    host.near.ip("link set up1 mtu 1300")
    with host.sluice(text, way=way), SinkServer(host.far, FAR, 5001) as sink, \
            UdpServer(host.far, FAR, 5000):
        s = host.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER: DO
        s.connect((FAR, 5000))

        def refused():
            try:
                s.send(b"x" * 1400)
            except OSError as e:
                return e.errno == errno.EMSGSIZE
        wait_for(refused, "the sender of 1428 bytes is told")
        assert s.getsockopt(socket.IPPROTO_IP, 14) == 1300  # IP_MTU
        s.close()
        data = os.urandom(300000)
        with host.tcp((FAR, 5001)) as c:
            c.sendall(data)
        wait_for(lambda: sink.done, "the upload ends", 20)
        assert sink.digest.digest() == hashlib.sha256(data).digest()


@by_whom
@every_way
@pytest.mark.parametrize("nat", [False, True], ids=["plain", "masquerades"])
def test_a_host_that_lets_in_only_answers(host, text, way, nat):
    if nat and way == "route":
        way = "auto"
    host.near.nft(HARDENED + (MASQUERADE if nat else ""))
    with host.sluice(text, way=way), EchoServer(host.far, FAR, 80) as tcp, \
            UdpServer(host.far, FAR, 5000) as udp, \
            EchoServer(host.far, GW0, 80) as other:
        with host.tcp((FAR, 80)) as c, host.tcp((GW0, 80)) as d:
            echo_once(c)
            echo_once(d)
            echo_once(c)
        assert {p[0] for p in tcp.peers} == {NEAR1}
        assert {p[0] for p in other.peers} == {NEAR0}
        assert ask(host, udp) == NEAR1
        host.ping(FAR, 1, check=1)
        # None was invalid to the host.
        assert "packets 0 " in host.run("nft list chain inet theirs o").stdout


@by_whom
@every_way
def test_what_goes_there_anyhow_stays_as_it_is(host, text, way):
    """Its source and port, too."""
    with host.sluice(text, way=way), UdpServer(host.far, FAR, 5000) as udp:
        host.near.ip("route add 198.51.100.0/24 via 10.67.0.2")
        s = host.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((NEAR1, 4321))
        s.sendto(b"straight", (FAR, 5000))
        wait_for(lambda: udp.with_data(b"straight"), "it arrives")
        s.close()
        assert udp.with_data(b"straight")[0].peer == (NEAR1, 4321)
        host.near.ip("route del 198.51.100.0/24 via 10.67.0.2")


@by_whom
@every_way
@pytest.mark.parametrize("all_, own", [(0, 0), (0, 2), (2, 0), (2, 2)])
def test_loose_reverse_path_filters(host, text, way, all_, own):
    for dev, v in (("all", all_), ("up0", own), ("up1", own)):
        host.near.sysctl("net.ipv4.conf.%s.rp_filter" % dev, v)
    with host.sluice(text, way=way), UdpServer(host.far, FAR, 5000) as udp:
        assert ask(host, udp) == NEAR1


@by_whom
@every_way
@pytest.mark.parametrize("dev", ["all", "up1"])
def test_a_strict_reverse_path_filter_is_said_and_nothing_leaks(
        host, text, way, dev):
    host.near.sysctl("net.ipv4.conf.%s.rp_filter" % dev, 1)
    with host.sluice(text, way=way) as s, \
            UdpServer(host.far, FAR, 5000) as udp:
        s.wait_err("rp_filter=1 drops what answers there: sysctl -w "
                   "net/ipv4/conf/up1/rp_filter=2; packets for it are dropped")
        assert ask(host, udp, timeout=0.5) is None
        assert not udp.got
        s.same_after = False  # as the line says
        host.run("sysctl -w net/ipv4/conf/up1/rp_filter=2")
        asked_in_time(host, udp)


@by_whom
@every_way
def test_without_the_interface_nothing_leaves(host, text, way):
    """It goes down, comes back, loses its address, and goes for good."""
    nonce = os.urandom(16)

    def leaks():
        with lost():
            host.udp(nonce, (FAR, 5999))

    with host.sluice(text, way=way) as s, host.capture() as cap, \
            UdpServer(host.far, FAR, 5000) as udp:
        s.same_after = False
        assert ask(host, udp) == NEAR1
        host.near.ip("link set up1 down")
        leaks()
        s.wait_err('via("up1"): the interface is down; packets for it are '
                   'dropped')
        leaks()
        host.near.ip("link set up1 up\n"
                     "route add 203.0.113.0/24 via 10.67.0.2")
        asked_in_time(host, udp)
        s.wait_err('via("up1"): packets go by it')
        host.near.ip("addr flush dev up1")
        s.wait_err("has no IPv4 address")
        leaks()
        host.near.ip("link del up1")
        s.wait_err("there is no such interface")
        leaks()
        host.udp(b"fence", (GW0, 7777))
        cap.wait(lambda fs: [f for f in fs if b"fence" in f.raw], "the fence")
    assert by(cap, nonce) <= {"fu1"}
    assert s.stderr.count("the interface is down") == 1
    if text == VIA:
        assert "dropped because their interface could not be used" in s.stderr


@every_way
def test_an_interface_that_comes_later(host, way):
    text = FENCE_RULE + """
        rule { name = "v", match = { dst = "%s" },
               action = function(pkt) return via("late0") end }""" % FAR
    with host.sluice(text, way=way) as s, UdpServer(host.far, FAR, 5000) as u:
        s.wait_err('via("late0"): there is no such interface')
        s.same_after = False
        assert ask(host, u, timeout=0.3) is None
        host.near.ip("""
            link add late0 type veth peer name flate netns %s
            addr add 10.68.0.1/24 dev late0
            link set late0 up
            route add 192.0.2.0/24 via 10.68.0.2
            """ % host.far.name)
        host.far.ip("addr add 10.68.0.2/24 dev flate\nlink set flate up")
        wait_for(lambda: ask(host, u, timeout=0.5) == "10.68.0.1",
                 "packets go by it", 15)


@every_way
def test_a_name_that_is_made_while_packets_run(host, way):
    text = FENCE_RULE + """
        rule { name = "v", match = { dst = "%s" },
               action = function(pkt)
                   local n = pkt.dport - 4999
                   return via("up" .. n) end }""" % FAR
    with host.sluice(text, "--workers", 2, way=way), \
            UdpServer(host.far, FAR, 5000) as u:
        asked_in_time(host, u)


@every_way
def test_such_a_connection_is_not_bypassed(host, way):
    """What does not come to us would go its old way."""
    text = """
        rule { name = "v", match = { dst = "198.51.100.0/24" },
               action = function(pkt)
                   pkt.flow:bypass()
                   return via("up1") end }"""
    with host.sluice(text, way=way), EchoServer(host.far, FAR, 80) as tcp:
        with host.tcp((FAR, 80)) as c:
            for _ in range(5):
                echo_once(c)
        assert {p[0] for p in tcp.peers} == {NEAR1}


@every_way
def test_names_without_end(host, way):
    """More than there may be are an error of the rule, which is accepted."""
    text = """
        local n = 0
        rule { name = "v", match = { dport = 5999 },
               action = function(pkt)
                   n = n + 1
                   return via("none" .. n) end }"""
    with host.sluice(text, way=way) as s:
        for _ in range(12):
            host.udp(b"x", (FAR, 5999))
        s.wait_err("more than 8 interfaces")
        assert host.udp_arrives(FAR)


@by_whom
@every_way
def test_its_default_route_may_be_in_another_table(host, text, way):
    """As on hosts that route by source address."""
    host.near.ip("""
        route del 203.0.113.0/24
        route add default via 10.67.0.2 dev up1 table 77
        rule add pref 50 from 10.67.0.1 lookup 77
        """)
    with host.sluice(text, way=way), EchoServer(host.far, FAR, 80) as tcp:
        with host.tcp((FAR, 80)) as c:
            echo_once(c)
        assert {p[0] for p in tcp.peers} == {NEAR1}


@by_whom
@every_way
def test_with_arrivals_in_the_rules(host, text, way):
    with host.sluice('capture { dir = { "out", "in" } }' + VIA, way=way), \
            EchoServer(host.far, FAR, 80) as tcp:
        with host.tcp((FAR, 80)) as c:
            echo_once(c)
        assert {p[0] for p in tcp.peers} == {NEAR1}
        host.ping(FAR, 1, check=1)


@every_way
def test_an_arrival_has_arrived(host, way):
    """via() has nothing to say about what is for this host."""
    text = """capture { dir = "in" }
        rule { name = "v", match = { dir = "in" },
               action = function(pkt) return via("up1") end }"""
    with host.sluice(text, way=way):
        host.ping(FAR, 1, check=1)
        assert host.far.run(["ping", "-c1", "-W3", NEAR0]).returncode == 0


@every_way
def test_the_audit_says_by_which(host, way):
    with host.sluice(VIA, "--audit", way=way) as s, \
            UdpServer(host.far, FAR, 5000) as u:
        ask(host, u)
        s.wait_out("VIA(up1)")
    with host.sluice(VIA, "--audit", "--json", way=way) as s, \
            UdpServer(host.far, FAR, 5000) as u:
        ask(host, u)
        s.wait_out('"via"')
    seen = [json.loads(l) for l in s.stdout.splitlines() if '"via"' in l]
    assert seen[0]["verdict"] == "VIA" and seen[0]["via"] == "up1"


@by_whom
@every_way
def test_down_after_kill_9(host, text, way):
    host.near.nft(HARDENED)
    s = host.sluice(text, way=way).start()
    with UdpServer(host.far, FAR, 5000) as u:
        assert ask(host, u) == NEAR1
        s.kill()
        wait_for(lambda: ask(host, u, timeout=0.5) == NEAR0,
                 "packets go their old way")
    # Rules and routes for devices that are gone, an accept for them.
    fine = ("ip rule: +", "ip route show table all: +", "nft list ruleset: +")
    wait_for(lambda: all(l.startswith(fine) for l in snapshot_diff(
        s.before, snapshot(host.near)).splitlines()), "the devices go")
    sluice(host, "down", check=0)
    s.assert_put_back()


@every_way
def test_a_start_after_kill_9(host, way):
    s = host.sluice(VIA, way=way).start()
    before = s.before
    s.kill()
    with host.sluice(VIA, way=way) as again, \
            UdpServer(host.far, FAR, 5000) as u:
        again.same_after = False
        assert ask(host, u) == NEAR1
    wait_for(lambda: not snapshot_diff(before, snapshot(host.near)),
             "the host is as before")


@by_whom
@every_way
def test_what_somebody_takes_away_comes_back(host, text, way):
    """Routing daemons flush rules and routes that they do not know."""
    with host.sluice(text, way=way), UdpServer(host.far, FAR, 5000) as u:
        assert ask(host, u) == NEAR1
        host.run("ip rule del iif slv0; ip route flush table 101")
        asked_in_time(host, u)


@every_way
def test_somebody_removes_the_device(host, way):
    with host.sluice(VIA, way=way) as s, UdpServer(host.far, FAR, 5000) as u:
        assert ask(host, u) == NEAR1
        host.near.ip("link del slv0")
        s.wait_err('via("up1"): somebody removed slv0')
        assert ask(host, u, timeout=0.3) is None
        assert {p[0] for p in u.peers} == {NEAR1}


def test_a_table_that_is_in_use_is_refused(host):
    host.near.ip("route add 10.99.0.0/16 via 10.66.0.2 table 101")
    s = host.sluice(VIA).start(ready=False)
    assert s.wait() == 1
    assert "table 101 has routes: choose another with --table" in s.stderr
    s.check_after()


# ---- a tunnel ---------------------------------------------------------------

@by_whom
@every_way
def test_a_tunnel(host, text, way):
    """WireGuard where the kernel has it. Its own packets, which are marked, go
    to its other end; nothing of what is inside leaves any other way."""
    with Tunnel(host, GW0):
        host.near.ip("rule del not fwmark %d table %d\n"
                     "rule del table main suppress_prefixlength 0\n"
                     "route del default table %d" % (MARK, PORT, PORT))
        wait_for(lambda: host.ping(INNER_FAR, 1, wait=1), "the tunnel works")
        rules = text.replace("up1", "wg0")
        with host.sluice(rules, way=way) as s, \
                SinkServer(host.far, FAR, 5001) as sink, \
                EchoServer(host.far, FAR, 80) as tcp, host.capture() as cap:
            with host.tcp((FAR, 80)) as c:
                echo_once(c)
            assert {p[0] for p in tcp.peers} == {INNER_NEAR}
            host.ping(FAR, 2, check=2)
            data = os.urandom(200000)
            with host.tcp((FAR, 5001)) as c:
                c.sendall(data)
            wait_for(lambda: sink.done, "the upload ends", 20)
            assert sink.digest.digest() == hashlib.sha256(data).digest()
            assert "dropped" not in s.stderr
            cap.sync()
            outside = [f for f in cap.frames if f.ip and f.ip.dst == FAR]
            assert not outside, outside


# ---- for others -------------------------------------------------------------

@by_whom
@every_way
def test_a_container_goes_by_it_too(host, text, way):
    ctr = Container(host)
    wait_for(lambda: ctr.ping() == 2, "the container works without sluice")
    rules = 'capture { dir = { "out", "forward" } }' + text
    with host.sluice(rules, way=way), EchoServer(host.far, FAR, 80) as tcp, \
            EchoServer(host.far, GW0, 80) as other:
        for dst, srv, source in ((FAR, tcp, NEAR1), (GW0, other, NEAR0)):
            c = ctr.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
            c.settimeout(10)
            c.connect((dst, 80))
            echo_once(c)
            c.close()
            assert [p[0] for p in srv.peers] == [source]
        assert ctr.ping() == 2
        with host.tcp((FAR, 80)) as c:
            echo_once(c)
        assert tcp.peers[-1][0] == NEAR1


# ---- a constant -------------------------------------------------------------

@every_way
def test_a_constant_needs_no_worker(host, way):
    """The kernel counts for it, and the rules see none of it."""
    with host.sluice(CONSTANT, way=way) as s, \
            EchoServer(host.far, FAR, 80) as tcp:
        with host.tcp((FAR, 80)) as c:
            for _ in range(5):
                echo_once(c)
        assert {p[0] for p in tcp.peers} == {NEAR1}
    assert "done: 0 packets seen" in s.stderr, s.stderr
    n = re.search(r"rule v: (\d+) packets", s.stderr)
    assert int(n.group(1)) > 10, s.stderr


@every_way
def test_a_constant_with_the_hosts_own_snat(host, way):
    """It goes before that: the host's is for the other interface."""
    host.near.ip("addr add 10.66.0.77/24 dev up0")
    host.near.nft("""table ip nat { chain post {
        type nat hook postrouting priority 100;
        oifname "up0" snat to 10.66.0.77
        oifname "up1" snat to 10.66.0.77
    }; }""")
    with host.sluice(CONSTANT, way="auto" if way == "route" else way), \
            EchoServer(host.far, FAR, 80) as tcp, \
            EchoServer(host.far, GW0, 80) as other:
        with host.tcp((FAR, 80)) as c, host.tcp((GW0, 80)) as d:
            echo_once(c)
            echo_once(d)
        assert {p[0] for p in tcp.peers} == {NEAR1}
        assert {p[0] for p in other.peers} == {"10.66.0.77"}


@every_way
def test_a_constant_for_a_bound_socket_never_leaves_by_its_device(host, way):
    nonce = os.urandom(16)
    with host.sluice(CONSTANT, way=way), host.capture() as cap:
        with dropped_in_the_kernel():
            host.udp(nonce, (FAR, 5999), dev="up0")
        host.settle(cap)
    assert by(cap, nonce) <= {"fu1"}


@every_way
def test_a_connection_that_was_there_before_is_cut(host, way):
    """It has another source there: none of it leaves."""
    host.near.nft(HARDENED)  # connections are tracked
    with EchoServer(host.far, FAR, 80), host.tcp((FAR, 80), timeout=1) as c:
        echo_once(c)
        with host.capture() as cap:
            with host.sluice(CONSTANT, way=way):
                nonce = os.urandom(16)
                with dropped_in_the_kernel():
                    c.sendall(nonce)
                host.settle(cap)
                assert not cap.with_bytes(nonce)


@every_way
def test_a_function_rule_in_front_keeps_it_with_us(host, way):
    """Else part of a connection would go one way, and part another."""
    text = FENCE_RULE + """
        local n = 0
        rule { name = "look", match = { tcp_flags = "S/SA" },
               action = function(pkt) n = n + 1 end }
        rule { name = "v", match = { dst = "198.51.100.0/24" },
               action = via("up1") }"""
    with host.sluice(text, way=way), EchoServer(host.far, FAR, 80) as tcp:
        with host.tcp((FAR, 80)) as c:
            echo_once(c)
            echo_once(c)
        assert {p[0] for p in tcp.peers} == {NEAR1}


@every_way
def test_a_constant_by_user(host, way):
    """A program's own way out."""
    text = """rule { name = "v", match = { user = "nobody" },
                     action = via("up1") }"""
    with host.sluice(text, way=way), HelloServer(host.far, FAR, 80) as tcp:
        for user, source in (("nobody", NEAR1), ("root", NEAR0)):
            r = host.run(["setpriv", "--reuid", user, "--clear-groups",
                          "/usr/bin/python3", "-c",
                          "import socket; print(socket.create_connection(("
                          "'%s', 80), 10).recv(9))" % FAR])
            assert "hello" in r.stdout
            assert tcp.peers.pop()[0] == source


# ---- rules/split.lua --------------------------------------------------------

SPLIT = [rule("split"), "--arg", "tunnel=198.51.100.0/24", "--arg", "via=up1",
         "--arg", "proxy=8.8.8.0/24", "--arg", "port=8080"]


def split(host, way, *more):
    return host.sluice(SPLIT[:1], *SPLIT[1:], *more, way=way)


@every_way
def test_library_split_decides_by_destination(host, way):
    """Straight, by the other interface, or to a proxy here: what connects
    sees who it wanted to talk to, the proxy too; nothing of it leaves."""
    with split(host, way), EchoServer(host.far, FAR, 80) as far, \
            EchoServer(host.far, GW0, 80) as near_by, \
            EchoServer(host.far, GOOGLE, 80) as wanted, \
            EchoServer(host.near, "0.0.0.0", 8080) as proxy, \
            host.capture() as cap:
        with host.tcp((FAR, 80)) as c, host.tcp((GW0, 80)) as d, \
                host.tcp((GOOGLE, 80)) as e:
            assert e.getpeername() == (GOOGLE, 80)
            for s in (c, d, e, c, d, e):
                echo_once(s)
            client = e.getsockname()
            assert client[0] == NEAR0
        assert [p[0] for p in far.peers] == [NEAR1]
        assert [p[0] for p in near_by.peers] == [NEAR0]
        assert proxy.peers == [(GOOGLE, client[1])]
        assert not wanted.peers
        with pytest.raises(ConnectionRefusedError):  # what is not TCP
            s = host.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.settimeout(5)
            s.connect((GOOGLE, 443))
            s.send(b"x")
            s.recv(10)
        s.close()
        host.settle(cap)
    assert not [f for f in cap.frames if GOOGLE in (f.ip.dst, f.ip.src)]


@every_way
def test_library_split_carries_a_large_transfer_to_the_proxy(offload_host, way):
    host = offload_host
    data = os.urandom(1 << 20) * 8
    with split(host, way), SinkServer(host.near, "0.0.0.0", 8080) as sink:
        with host.tcp((GOOGLE, 80)) as c:
            c.sendall(data)
        wait_for(lambda: sink.done, "the upload ends", 40)
        assert sink.digest.digest() == hashlib.sha256(data).digest()


@every_way
def test_library_split_many_connections_at_once(host, way):
    with split(host, way), EchoServer(host.near, "0.0.0.0", 8080) as proxy:
        open_ = [host.tcp((GOOGLE, 80 + i % 3)) for i in range(40)]
        for c in open_:
            echo_once(c, os.urandom(100))
        for c in open_:
            c.close()
        assert len(proxy.peers) == 40


@every_way
def test_library_split_lets_the_proxy_itself_out(host, way):
    """Its user's connections go where they want to."""
    proxy = """
import socket, sys
up = socket.create_connection(("8.8.8.8", 80), 10)
print(up.recv(100).decode().strip())
"""
    script = host.file("proxy.py", proxy)
    with split(host, way, "--arg", "user=nobody"), \
            HelloServer(host.far, GOOGLE, 80, b"the server\n"), \
            HelloServer(host.near, "0.0.0.0", 8080, b"the proxy\n"):
        for user, says in (("nobody", "the server"), ("root", "the proxy")):
            r = host.run(["setpriv", "--reuid", user, "--clear-groups",
                          "/usr/bin/python3", script])
            assert r.stdout.strip() == says, r.stderr


@every_way
def test_library_split_on_a_host_that_lets_in_only_what_it_asked_for(host, way):
    host.near.nft(HARDENED + """
        add rule inet theirs i tcp dport 8080 accept""")
    with split(host, way), EchoServer(host.near, "0.0.0.0", 8080):
        with host.tcp((GOOGLE, 80)) as c:
            echo_once(c)
        assert "packets 0 " in host.run("nft list chain inet theirs o").stdout
