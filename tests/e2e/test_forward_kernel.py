# SPDX-License-Identifier: GPL-2.0-or-later
"""What passes through and is decided in the kernel: the same packets, the same
verdicts and counts as when every one of them is handed over."""
import re
import socket

import pytest

from containers import Network
from far import EchoServer, UdpServer
from host import FAR, NEAR0, echo_once
from net import wait_for
from test_held import held
from test_sets import stopped

FORWARD = 'capture { dir = "forward" }\n'
ALL = 'capture { dir = { "out", "in", "forward" } }\n'
# All packets come to us, or as few as may be.
everywhere = pytest.mark.parametrize("kernel", [True, False],
                                     ids=["kernel", "audit"])


def start(host, rules, kernel, *options, **kw):
    return host.sluice(rules, *(() if kernel else ("--audit",)), *options,
                       **kw)


def counts(s):
    """How many packets each rule has had, once it has ended."""
    return {name: int(n) for name, n in
            re.findall(r"rule (\S+): (\d+) packets", s.stderr)}


def handed_over(s):
    return int(re.search(r"done: (\d+) packets seen", s.stderr).group(1))


@pytest.fixture
def docker(host):
    return Network(host).docker().ready(FAR)


def rule(name, match, rest="action = ACCEPT"):
    return 'rule { name = "%s", match = { %s }, %s }\n' % (name, match, rest)


@everywhere
def test_container_addresses_are_what_decides_each_packet_once(host, docker,
                                                               kernel):
    """Under policy(DROP) a packet that was decided twice, the second time
    with the host's address, would be lost."""
    udp = 'dir = "forward", proto = "udp", '
    with start(host, FORWARD + "policy(DROP)\n"
               + rule("there", udp + 'src = "%s", dport = 5000' % docker.addr)
               + rule("back", udp + 'dst = "%s", sport = 5000' % docker.addr),
               kernel) as s, UdpServer(host.far, FAR, 5000) as srv:
        for _ in range(5):
            assert docker.ask(b"x", (FAR, 5000))[0] == b"x"
        with pytest.raises(socket.timeout):
            docker.ask(b"x", (FAR, 5001), timeout=0.5)
        assert {p[0] for p in srv.peers} == {NEAR0}
    assert counts(s) == {"there": 5, "back": 5}
    if kernel:
        assert handed_over(s) == 0


@everywhere
def test_a_published_port(host, docker, kernel):
    with start(host, FORWARD + "policy(DROP)\n"
               + rule("there", 'dst = "%s", dport = 80' % docker.addr)
               + rule("back", 'src = "%s", sport = 80' % docker.addr),
               kernel) as s, UdpServer(docker.ns, "0.0.0.0", 80):
        c = host.far.socket(socket.AF_INET, socket.SOCK_DGRAM)
        c.settimeout(5)
        for _ in range(3):
            c.sendto(b"hello", (NEAR0, 8080))
            assert c.recvfrom(100) == (b"hello", (NEAR0, 8080))
        c.close()
    assert counts(s) == {"there": 3, "back": 3}
    if kernel:
        assert handed_over(s) == 0


@everywhere
def test_interfaces(host, docker, kernel):
    """Where a packet arrives its oif is not known, where it leaves its iif is
    not: a condition on that does not hold, not even one with `!`."""
    names = {"iif-d": 'iif = "docker0"', "iif-u": 'iif = "up0"',
             "iif-not": 'iif = "!up0"', "oif-d": 'oif = "docker0"',
             "oif-u": 'oif = "up0"', "oif-not": 'oif = "!up*"'}
    rules = "".join(
        rule(name, 'dir = "forward", proto = "udp", dport = { %d, %d }, '
             % (5000 + i, 6000 + i) + match)
        for i, (name, match) in enumerate(names.items()))
    with start(host, FORWARD + rules, kernel) as s:
        for i in range(len(names)):
            # There and back, with the port as destination both times.
            with UdpServer(host.far, FAR, 5000 + i, echo=False) as srv:
                docker.udp(b"x", (FAR, 5000 + i), sport=6000 + i)
                wait_for(lambda: srv.peers, "it arrives")
                srv.sock.sendto(b"y", srv.peers[0])
        # Behind the last answer.
        with UdpServer(host.far, FAR, 7000):
            docker.ask(b"z", (FAR, 7000))
    assert counts(s) == {"iif-d": 1, "iif-u": 0, "iif-not": 1, "oif-d": 1,
                         "oif-u": 0, "oif-not": 1}
    if kernel:
        assert handed_over(s) == 0


@everywhere
def test_rewrites(host, docker, kernel):
    with start(host, FORWARD
               + rule("there", 'proto = "udp", dport = 5000',
                      'rewrite = { ttl = 40, dscp = "ef" }, action = ACCEPT')
               + rule("back", 'proto = "udp", sport = 5000',
                      'rewrite = { ttl = 30 }'), kernel) as s, \
            UdpServer(host.far, FAR, 5000) as srv:
        c = docker.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        c.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
        c.settimeout(5)
        c.sendto(b"x", (FAR, 5000))
        data, extra, _, _ = c.recvmsg(100, 100)
        c.close()
        assert srv.got[0].ttl == 39 and srv.got[0].tos == 46 << 2
        assert int.from_bytes(extra[0][2][:4], "little") == 30
    assert counts(s) == {"there": 1, "back": 1}
    if kernel:
        assert handed_over(s) == 0


def test_what_no_rule_can_match_does_not_come_to_us(host, docker):
    """Also where bridged packets go through the host's tables: it is tracked
    and translated as if nothing were."""
    net = Network(host, "br1", "172.18.0")
    host.near.nft('add rule ip filter FORWARD ct state established accept\n'
                  'add rule ip filter FORWARD ct status dnat accept\n'
                  'add rule ip filter FORWARD iifname "br1" accept\n'
                  'add rule ip nat POSTROUTING ip saddr 172.18.0.0/24 oifname '
                  '"up0" masquerade')
    net.ready(FAR)
    with EchoServer(docker.ns, "0.0.0.0", 80) as srv, \
            EchoServer(host.far, FAR, 80) as far:
        with host.sluice(ALL + """
                rule { name = "other", match = { proto = "udp", dport = 5999 },
                       action = function(pkt) end }
                rule { name = "ping", match = { src = "172.18.0.0/24",
                       proto = "icmp" }, action = function(pkt) end }""") as s:
            for c in (net.tcp((NEAR0, 8080)), net.tcp((FAR, 80)),
                      docker.tcp((FAR, 80))):
                echo_once(c)
                c.close()
            assert srv.peers[0][0] == net.addr
            assert {p[0] for p in far.peers} == {NEAR0}
            assert net.ping(FAR, 3) == 3
            assert docker.ping(FAR, 3) == 3
    assert counts(s)["ping"] == 3 and handed_over(s) == 3


@everywhere
def test_a_function_before_a_constant_wins(host, docker, kernel):
    with start(host, FORWARD + """
            rule { name = "f", match = { dir = "forward", proto = "udp",
                   dport = "5000-5001" }, action = function(pkt)
                       if pkt.dport == 5001 then return ACCEPT end end }
            """ + rule("drop", 'proto = "udp", src = "172.17.0.0/16"',
                       "action = DROP"), kernel) as s, \
            UdpServer(host.far, FAR, 5001) as one, \
            UdpServer(host.far, FAR, 5000) as none:
        for port in (5000, 5002):
            docker.udp(b"x", (FAR, port))
        assert docker.ask(b"x", (FAR, 5001))[0] == b"x"
        assert not none.got and len(one.got) == 1
    assert counts(s) == {"f": 2, "drop": 2}
    if kernel:
        assert handed_over(s) == 2


@everywhere
def test_marks_of_others_are_as_they_were(host, docker, kernel):
    """A route, a filter and a save and restore that go by the whole mark."""
    host.near.ip("rule add pref 40 fwmark 0x7 lookup 300\n"
                 "route add default via 10.67.0.2 table 300")
    host.near.nft("""
        table ip theirs {
            chain pre {
                type filter hook prerouting priority mangle;
                iifname "docker0" udp dport 5000 meta mark set 0x7
                iifname "docker0" udp dport 5001 meta mark set ct mark
            }
            chain passing {
                type filter hook forward priority filter;
                udp dport 5000 meta mark != 0x7 drop
                udp dport 5001 meta mark != 0x0 drop
            }
        }""")
    # The rest is seen by the rules, and not decided in the kernel.
    with start(host, FORWARD + rule("no", 'proto = "udp", dport = 9')
               + "rule { match = { proto = 'udp', dport = 5002 }, "
               "action = function(pkt) end }", kernel), \
            UdpServer(host.far, FAR, 5000, echo=False) as a, \
            UdpServer(host.far, FAR, 5001) as b, host.capture() as cap:
        docker.udp(b"by-the-mark", (FAR, 5000))
        wait_for(lambda: a.got, "it arrives")
        assert docker.ask(b"x", (FAR, 5001))[0] == b"x"
        assert b.got
        cap.wait(lambda fs: cap.with_bytes(b"by-the-mark"), "it is captured")
        assert cap.with_bytes(b"by-the-mark")[0].dev == "fu1"


@pytest.mark.parametrize("other", [False, True])
def test_a_bypassed_connection_of_a_container(host, docker, other):
    """It goes on while no worker runs: out by masquerade, or from another
    network to the published port, translated before it leaves its bridge."""
    net, dst = docker, (FAR, 80)
    if other:
        net, dst = Network(host, "br1", "172.18.0"), (NEAR0, 8080)
        host.near.nft('add rule ip filter FORWARD ct state established accept\n'
                      'add rule ip filter FORWARD ct status dnat accept')
    with EchoServer(docker.ns if other else host.far, "0.0.0.0", 80) as srv, \
            host.sluice(FORWARD + """
            rule { name = "hold", match = { dir = "forward", proto = "tcp",
                   dport = 80 }, action = function(pkt)
                       if pkt.payload ~= "" then pkt.flow:bypass() end end }
            rule { name = "answers", match = { proto = "tcp", sport = 80 },
                   action = function(pkt) end }""") as s:
        c = net.tcp(dst)
        echo_once(c, b"hello")
        held(host, 2)
        with stopped(s):
            for _ in range(10):
                echo_once(c)
        c.close()
        held(host, 0)
        assert srv.peers[0][0] == (net.addr if other else NEAR0)


def test_a_dropped_connection_of_a_container(host, docker):
    with EchoServer(host.far, FAR, 80), host.sluice(FORWARD + """
            rule { name = "drop", match = { dir = "forward", proto = "tcp",
                   dport = 80 }, action = function(pkt)
                       if pkt.payload == "bad" then pkt.flow:drop() end end }
            """):
        good, bad = docker.tcp((FAR, 80)), docker.tcp((FAR, 80))
        echo_once(bad, b"fine")
        bad.sendall(b"bad")
        held(host, 2, "dropped")
        bad.settimeout(1)
        with pytest.raises(socket.timeout):
            bad.recv(10)
        echo_once(good)
        for c in (good, bad):
            c.close()
