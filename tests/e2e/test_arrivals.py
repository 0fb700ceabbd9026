# SPDX-License-Identifier: GPL-2.0-or-later
"""What arrives, with capture { dir = { "out", "in" } }: the rules see it, and
the host goes on to see it come from its uplink."""
import os
import re
import socket

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from far import EchoServer, SinkServer, UdpServer, send_frame
from host import (FAR, FAR1, GW0, GW1, NEAR0, NEAR1, echo_once, random_file,
                  sha256)
from net import kernel_can, wait_for
from tunnel import INNER_FAR, INNER_NEAR, Tunnel

CAPTURE = 'capture { dir = { "out", "in" } }\n'
IN = CAPTURE + """
rule { name = "in", match = { dir = "in" }, action = function(pkt) end }
"""
# auto is one of the two here; test_capture.py has the hosts where it matters.
every_way = pytest.mark.parametrize("way", ["route", "wire"])


def from_far(host, payload, dst=NEAR0, port=6000, ttl=None, src=None):
    s = host.far.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if ttl:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    if src:
        s.bind(src)
    s.sendto(payload, (dst, port))
    s.close()


def far_connects(host, addr=NEAR0, port=80):
    c = host.far.socket(socket.AF_INET, socket.SOCK_STREAM)
    c.settimeout(10)
    c.connect((addr, port))
    return c


@every_way
def test_dir_and_iface_tell_the_truth(host, way):
    with host.sluice(CAPTURE + """
            rule { name = "say", match = { proto = "udp" },
                   action = function(pkt)
                       log("<" .. pkt.payload .. " " .. pkt.dir .. " " ..
                           tostring(pkt.iface) .. ">")
                   end }""", way=way) as s, \
            UdpServer(host.near, "0.0.0.0", 6000, echo=False) as ear:
        from_far(host, b"one")
        from_far(host, b"two", NEAR1)
        host.udp(b"three", (FAR, 5000))
        host.udp(b"four", (FAR1, 5000))
        host.udp(b"five", (GW1, 5000), dev="up1")
        for line in ("one in up0", "two in up1", "three out up0",
                     "four out up1", "five out up1"):
            s.wait_err("<%s>" % line)
            assert s.stderr.count("<%s " % line.split()[0]) == 1
        wait_for(lambda: len(ear.got) == 2, "both are delivered")


@every_way
def test_match_dir_iif_and_oif(host, way):
    def r(name, match):
        return ('rule { name = "%s", match = { proto = "udp", %s }, '
                'action = function(pkt) log("%s:" .. pkt.payload .. ".") end }\n'
                % (name, match, name))
    with host.sluice(CAPTURE + r("in", 'dir = "in"') + r("out", 'dir = "out"')
                     + r("iif0", 'iif = "up0"') + r("iif1", 'iif = "up1"')
                     + r("oif0", 'oif = "up0"') + r("oif1", 'oif = "up1"')
                     + r("not0", 'iif = "!up0"')
                     + 'rule { name = "end", match = { proto = "udp" }, action '
                     '= function(pkt) log("end:" .. pkt.payload .. ".") end }',
                     way=way) as s:
        from_far(host, b"a")
        from_far(host, b"b", NEAR1)
        host.udp(b"c", (FAR, 5000))
        host.udp(b"d", (FAR1, 5000))
        host.udp(b"e", (GW0, 5000), dev="up0")
        for n in "abcde":
            s.wait_err("end:%s." % n)
        seen = {n: set(re.findall(r"(\w+):%s\." % n, s.stderr)) - {"end"}
                for n in "abcde"}
        assert seen["a"] == {"in", "iif0"}
        assert seen["b"] == {"in", "iif1", "not0"}
        assert seen["c"] - {"not0"} == {"out", "oif0"}
        assert seen["d"] - {"not0"} == {"out", "oif1"}
        assert seen["e"] - {"not0"} == {"out", "oif0"}


@every_way
def test_a_rule_drops_what_arrives(host, way):
    with host.sluice(CAPTURE + """
            rule { name = "closed", match = { proto = "udp", dir = "in",
                   dport = 6000 }, action = function(pkt) return DROP end }
            rule { name = "look", action = function(pkt) end }""", way=way), \
            UdpServer(host.near, "0.0.0.0", 6000, echo=False) as closed, \
            UdpServer(host.near, "0.0.0.0", 6001, echo=False) as opened:
        from_far(host, b"x", port=6000)
        from_far(host, b"x", port=6001)
        wait_for(lambda: opened.got, "the other port is open")
        assert not closed.got


@every_way
def test_a_rule_rewrites_what_arrives(host, way):
    with host.sluice(CAPTURE + """
            rule { name = "r", match = { proto = "udp", dir = "in" },
                   action = function(pkt) pkt.ip.ttl = 99
                   pkt.payload = "other words" end }""", way=way), \
            UdpServer(host.near, NEAR0, 6000, echo=False) as ear:
        from_far(host, b"the words")
        wait_for(lambda: ear.got, "it arrives")
        assert ear.got[0].data == b"other words" and ear.got[0].ttl == 99


@every_way
def test_each_arrival_is_delivered_once_and_unchanged(host, way):
    with host.sluice(IN, way=way), \
            UdpServer(host.near, NEAR0, 6000, echo=False) as ear:
        for ttl in (1, 64, 255):
            data = os.urandom(1000)
            from_far(host, data, ttl=ttl)
            wait_for(lambda: ear.with_data(data), "ttl %d arrives" % ttl)
            from_far(host, b"behind it")
            wait_for(lambda: ear.got[-1].data == b"behind it", "the next")
            got = ear.with_data(data)
            assert len(got) == 1 and got[0].ttl == ttl
            assert got[0].peer[0] == GW0


@every_way
def test_a_ping_that_arrives_with_ttl_1_is_answered(host, way):
    with host.sluice(IN, way=way):
        r = host.far.run(["ping", "-n", "-c", 2, "-i", 0.2, "-t", 1, "-W", 3,
                          NEAR0], check=False)
        assert "2 received" in r.stdout
        assert "DUP" not in r.stdout


@every_way
def test_local_listeners_and_their_connections(host, way):
    with host.sluice(IN, way=way), EchoServer(host.near, "0.0.0.0", 80) as srv:
        for addr, peer in ((NEAR0, GW0), (NEAR1, GW1)):
            c = far_connects(host, addr)
            for _ in range(3):
                echo_once(c, os.urandom(30000))
            c.close()
            assert srv.peers[-1][0] == peer
        s = host.near.socket(socket.AF_INET, socket.SOCK_STREAM)
        # A socket bound to its uplink hears as well.
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"up0")
        s.bind((NEAR0, 81))
        s.listen(1)
        c = far_connects(host, NEAR0, 81)
        a, _ = s.accept()
        c.sendall(b"hello")
        assert a.recv(100) == b"hello"
        for x in (a, c, s):
            x.close()


@every_way
def test_own_connections_and_their_answers(host, way):
    with host.sluice(IN, way=way), EchoServer(host.far, "0.0.0.0", 80):
        for dst, kw in ((FAR, {}), (FAR1, {}), (FAR, {"dev": "up0"}),
                        (FAR, {"mark": 0x1234})):
            c = host.tcp((dst, 80), **kw)
            echo_once(c, os.urandom(50000))
            c.close()
        host.ping(FAR, 2, check=2)


FIREWALL = """
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        iif "lo" accept
        ct state established,related accept
        ct state invalid drop
        iifname "up0" tcp dport 80 ct state new accept
        iifname "up1" tcp dport 81 ct state new accept
        iifname "up1" udp dport 6000 accept
    }
    chain output {
        type filter hook output priority filter; policy drop;
        oif "lo" accept
        ct state new,established accept
    }
}
"""


@every_way
def test_iifname_rules_that_open_and_close_ports_keep_their_meaning(host, way):
    host.near.nft(FIREWALL)
    with host.sluice(IN, way=way), \
            EchoServer(host.near, "0.0.0.0", 80), \
            EchoServer(host.near, "0.0.0.0", 81), \
            UdpServer(host.near, "0.0.0.0", 6000, echo=False) as ear:
        for addr, port in ((NEAR0, 80), (NEAR1, 81)):
            c = far_connects(host, addr, port)
            echo_once(c)
            c.close()
        for addr, port in ((NEAR0, 81), (NEAR1, 80)):
            c = host.far.socket(socket.AF_INET, socket.SOCK_STREAM)
            c.settimeout(0.7)
            with pytest.raises(OSError):
                c.connect((addr, port))
            c.close()
        from_far(host, b"closed", NEAR0)
        from_far(host, b"open", NEAR1)
        wait_for(lambda: ear.with_data(b"open"), "up1 is open")
        assert not ear.with_data(b"closed")


@every_way
def test_ct_state_of_arrivals_and_answers(host, way):
    host.near.nft(FIREWALL)
    with host.sluice(IN, way=way), EchoServer(host.far, "0.0.0.0", 80):
        c = host.tcp((FAR, 80))
        echo_once(c)
        c.close()
        host.ping(FAR, 2, check=2)
        assert host.udp_arrives(FAR)


@every_way
def test_rp_filter_1_is_happy(host, way):
    for dev in ("all", "default", "up0", "up1"):
        host.near.sysctl("net.ipv4.conf.%s.rp_filter" % dev, 1)
    with host.sluice(IN, way=way), EchoServer(host.near, "0.0.0.0", 80), \
            EchoServer(host.far, "0.0.0.0", 80):
        for addr in (NEAR0, NEAR1):
            c = far_connects(host, addr)
            echo_once(c)
            c.close()
        for addr in (FAR, FAR1):
            c = host.tcp((addr, 80))
            echo_once(c)
            c.close()


@every_way
def test_rp_filter_1_still_filters(host, way):
    """A source that lives behind the other uplink is refused, as before."""
    for dev in ("all", "default", "up0", "up1"):
        host.near.sysctl("net.ipv4.conf.%s.rp_filter" % dev, 1)
    import json
    mac = json.loads(host.run("ip -j link show up0").stdout)[0]["address"]
    with host.sluice(IN, way=way), \
            UdpServer(host.near, "0.0.0.0", 6000, echo=False) as ear:
        for src, data in ((FAR1, b"spoofed"), (FAR, b"honest")):
            send_frame(host.far, "fu0", bytes(
                Ether(dst=mac, src="02:00:00:00:00:01", type=0x800) /
                IP(src=src, dst=NEAR0) / UDP(sport=1, dport=6000) / Raw(data)))
        wait_for(lambda: ear.with_data(b"honest"), "the honest one arrives")
        assert not ear.with_data(b"spoofed")


@every_way
def test_multicast_and_broadcast_that_arrive(host, way):
    s = host.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", 6000))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                 socket.inet_aton("239.1.2.3") + socket.inet_aton(NEAR0))
    s.settimeout(5)
    with host.sluice(CAPTURE + """
            rule { name = "n", match = { dir = "in", proto = "udp" },
                   action = function(pkt) log("<" .. pkt.payload .. ">") end }
            """, way=way) as sl:
        for dst in ("239.1.2.3", "10.66.0.255", "255.255.255.255"):
            f = host.far.socket(socket.AF_INET, socket.SOCK_DGRAM)
            f.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            f.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"fu0")
            f.sendto(dst.encode(), (dst, 6000))
            f.close()
            assert s.recv(100) == dst.encode()
            sl.wait_err("<%s>" % dst)
    s.close()


@every_way
def test_what_only_passes_through_is_not_an_arrival(host, way):
    ns = host.netns("lan")
    host.near.sysctl("net.ipv4.ip_forward", 1)
    host.near.ip("link add lan0 type veth peer name eth0 netns %s\n"
                 "addr add 10.70.0.1/24 dev lan0\nlink set lan0 up" % ns.name)
    ns.ip("addr add 10.70.0.2/24 dev eth0\nlink set eth0 up\n"
          "route add default via 10.70.0.1")
    host.far.ip("route add 10.70.0.0/24 via 10.66.0.1")
    with host.sluice(CAPTURE + """
            rule { name = "all", match = { proto = "icmp" },
                   action = function(pkt) return DROP end }""", way=way):
        r = ns.run(["ping", "-n", "-c", 2, "-i", 0.2, "-W", 3, FAR],
                   check=False)
        assert "2 received" in r.stdout
        assert host.ping(FAR, 1, wait=1) == 0


@every_way
def test_a_large_transfer_in_both_directions(offload_host, way):
    host = offload_host
    path = random_file(os.path.join(host.tmp, "data"), 20 << 20)
    with open(path, "rb") as f:
        data = f.read()
    with host.sluice(IN, way=way):
        for server, client, addr in ((host.near, host.far, NEAR0),
                                     (host.far, host.near, FAR)):
            with SinkServer(server, addr, 80) as sink:
                c = client.socket(socket.AF_INET, socket.SOCK_STREAM)
                c.settimeout(40)
                c.connect((addr, 80))
                c.sendall(data)
                c.close()
                wait_for(lambda: sink.done, "the end", 40)
                assert sink.digest.hexdigest() == sha256(path)


@every_way
def test_a_reply_made_by_a_rule_to_an_arrival_goes_to_its_sender(host, way):
    with host.sluice(CAPTURE + """
            rule { name = "echo", match = { dir = "in", proto = "icmp",
                       icmp_type = "echo-request" },
                   action = function(pkt) return pkt:echo_reply() end }
            rule { name = "closed", match = { dir = "in", proto = "tcp",
                       dport = 99 },
                   action = function(pkt) return REJECT end }""", way=way):
        host.near.sysctl("net.ipv4.icmp_echo_ignore_all", 1)
        try:
            r = host.far.run(["ping", "-n", "-c", 2, "-i", 0.2, "-W", 3,
                              NEAR0], check=False)
            assert "2 received" in r.stdout
            c = host.far.socket(socket.AF_INET, socket.SOCK_STREAM)
            c.settimeout(5)
            with pytest.raises(ConnectionRefusedError):
                c.connect((NEAR0, 99))
            c.close()
        finally:
            host.near.sysctl("net.ipv4.icmp_echo_ignore_all", 0)


@every_way
def test_arrivals_of_an_uplink_without_an_ethernet_header(host, way):
    """They need skbedit; where it is missing the uplink is refused in one
    line, and works on without."""
    with Tunnel(host, FAR):
        if kernel_can("skbedit"):
            with host.sluice(CAPTURE + """
                    rule { name = "n", match = { dir = "in", iif = "wg0" },
                           action = function(pkt) log("in by wg0") end }""",
                             way=way) as s:
                host.ping(INNER_FAR, 2, check=2)
                s.wait_err("in by wg0")
                r = host.far.run(["ping", "-n", "-c", 1, "-W", 3, INNER_NEAR],
                                 check=False)
                assert "1 received" in r.stdout
        else:
            s = host.sluice(IN, way=way).start(ready=False)
            wait_for(lambda: "wg0" in s.stderr, "sluice names the uplink")
            wait_for(lambda: s.returncode is not None or
                     "sluice: capturing" in s.stderr, "it starts or ends")
            if s.returncode is None:
                host.ping(INNER_FAR, 2, check=2)
                s.stop()
            else:
                s.check_after()


@every_way
def test_an_uplink_that_appears_is_heard(host, way):
    with host.sluice(CAPTURE + """
            rule { name = "n", match = { dir = "in", iif = "up2" },
                   action = function(pkt) log("in by up2") end }""",
                     way=way) as s:
        s.same_after = False
        host.near.ip("link add up2 type veth peer name fu2 netns "
                     + host.far.name)
        host.far.ip("addr add 10.68.0.2/24 dev fu2\nlink set fu2 up")
        host.near.ip("addr add 10.68.0.1/24 dev up2\nlink set up2 up")
        wait_for(lambda: host.far.run(
            ["ping", "-n", "-c", 1, "-W", 1, "10.68.0.1"], check=False
        ).returncode == 0 and "in by up2" in s.stderr, "up2 is heard", 15)
