# SPDX-License-Identifier: GPL-2.0-or-later
"""What passes through, with capture { dir = "forward" }: containers behind
bridges, with and without the host's NAT, judged from both of its ends."""
import os
import re
import signal
import socket

import pytest

from containers import Network
from far import EchoServer, HttpServer, SinkServer, UdpServer
from host import (FAR, FAR1, GW0, NEAR0, echo_once, random_file, sha256)
from net import kernel_can, wait_for
from sluice import sluice
from tunnel import INNER_FAR, INNER_NEAR, Tunnel

SAY = """
rule { name = "say", match = { proto = "udp" }, action = function(pkt)
  log("<" .. pkt.payload .. " " .. pkt.dir .. " " .. pkt.src .. " " ..
      pkt.dst .. " " .. tostring(pkt.iface) .. " " .. pkt.way .. ">")
end }
"""
FORWARD = 'capture { dir = "forward" }\n'
ALL = 'capture { dir = { "out", "in", "forward" } }\n'
LOOK = 'rule { name = "look", action = function(pkt) end }\n'
every_way = pytest.mark.parametrize("way", ["auto", "wire"])


def word():
    return os.urandom(6).hex()


def said(s, text, count=1):
    """What the rule said about the payload text, count lines in their
    order."""
    wait_for(lambda: s.stderr.count("<%s " % text) >= count,
             lambda: "%d lines about %s:\n%s" % (count, text,
                                                 s.stderr[-2000:]))
    return re.findall(r"<%s ([^>]*)>" % text, s.stderr)


@pytest.fixture
def docker(host):
    return Network(host).docker().ready(FAR)


def plain(host, **kw):
    """Without any NAT: the far side knows the way."""
    net = Network(host, **kw)
    host.far.ip("route add %s.0/24 via %s" % (net.net, NEAR0))
    return net.ready(FAR)


# ---- what rules see ----------------------------------------------------------

@every_way
def test_container_addresses_in_both_directions_each_packet_once(host, docker,
                                                                 way):
    with host.sluice(FORWARD + SAY, way=way) as s, \
            UdpServer(host.far, FAR, 5000) as srv:
        for _ in range(3):
            text = word()
            data, peer = docker.ask(text.encode(), (FAR, 5000))
            assert data == text.encode() and peer == (FAR, 5000)
            assert said(s, text, 2) == [
                "forward %s %s docker0 wire" % (docker.addr, FAR),
                "forward %s %s docker0 wire" % (FAR, docker.addr)]
        assert {p[0] for p in srv.peers} == {NEAR0}, "masqueraded"


@every_way
def test_without_nat_both_directions_are_taken_where_they_arrive(host, way):
    net = plain(host)
    with host.sluice(FORWARD + SAY, way=way) as s, \
            UdpServer(host.far, FAR, 5000) as srv:
        text = word()
        net.ask(text.encode(), (FAR, 5000))
        assert said(s, text, 2) == [
            "forward %s %s docker0 wire" % (net.addr, FAR),
            "forward %s %s up0 wire" % (FAR, net.addr)]
        assert srv.peers[0][0] == net.addr


def test_a_published_port_is_seen_with_the_containers_address(host, docker):
    with host.sluice(FORWARD + SAY) as s, \
            UdpServer(docker.ns, "0.0.0.0", 80) as srv:
        text = word()
        c = host.far.socket(socket.AF_INET, socket.SOCK_DGRAM)
        c.settimeout(5)
        c.sendto(text.encode(), (NEAR0, 8080))
        data, peer = c.recvfrom(100)
        c.close()
        assert (data, peer) == (text.encode(), (NEAR0, 8080))
        assert said(s, text, 2) == [
            "forward %s %s docker0 wire" % (GW0, docker.addr),
            "forward %s %s docker0 wire" % (docker.addr, GW0)]
        assert srv.peers[0][0] == GW0


def test_with_in_as_well_each_packet_is_seen_once(host, docker):
    """What looks local when it arrives is taken as `in` then."""
    with host.sluice(ALL + SAY) as s, UdpServer(host.far, FAR, 5000):
        text = word()
        docker.ask(text.encode(), (FAR, 5000))
        assert said(s, text, 2) == [
            "forward %s %s docker0 wire" % (docker.addr, FAR),
            "in %s %s up0 wire" % (FAR, NEAR0)]
        text = word()
        host.udp(text.encode(), (FAR, 5000))
        assert {l.split()[0] for l in said(s, text, 2)} == {"out", "in"}


def test_iif_and_oif(host, docker):
    def rule(name, match):
        return ('rule { name = "%s", match = { proto = "udp", dir = "forward",'
                ' %s }, action = function(pkt) log("%s:" .. pkt.payload .. '
                '".") end }\n' % (name, match, name))
    net = Network(host, "br1", "172.18.0")
    host.far.ip("route add 172.18.0.0/24 via " + NEAR0)
    host.near.nft('add rule ip filter FORWARD iifname "br1" accept\n'
                  'add rule ip filter FORWARD oifname "br1" accept')
    net.ready(FAR)
    with host.sluice(
            FORWARD + rule("iifd", 'iif = "docker0"')
            + rule("iif1", 'iif = "br*"') + rule("iifu", 'iif = "up0"')
            + rule("noti", 'iif = "!up0"') + rule("oifd", 'oif = "docker0"')
            + rule("oifu", 'oif = "up*"') + rule("noto", 'oif = "!up0"')
            + 'rule { match = { proto = "udp" }, action = function(pkt) '
            'log("end:" .. pkt.payload .. ".") end }') as s, \
            UdpServer(host.far, FAR, 5000, echo=False) as ear:
        def seen(n):
            s.wait_err("end:%s." % n)
            return set(re.findall(r"(\w+):%s\." % n, s.stderr)) - {"end"}
        # Behind masquerade: out where it arrives, back where it leaves.
        docker.udp(b"out", (FAR, 5000), sport=4000)
        assert seen("out") == {"iifd", "noti"}
        wait_for(lambda: ear.peers, "it arrives")
        ear.sock.sendto(b"back", ear.peers[0])
        assert seen("back") == {"oifd", "noto"}
        # Without: both where they arrive.
        net.udp(b"plain", (FAR, 5000), sport=4000)
        assert seen("plain") == {"iif1", "noti"}
        wait_for(lambda: len(ear.peers) == 2, "it arrives")
        ear.sock.sendto(b"return", ear.peers[1])
        assert seen("return") == {"iifu"}


def test_what_a_bridge_passes_between_its_ports_is_not_forwarded(host):
    net = Network(host, count=2).docker().ready(FAR)
    with host.sluice(FORWARD + SAY) as s, \
            UdpServer(net.containers[1], "0.0.0.0", 5000) as srv:
        text = word()
        assert net.ask(text.encode(), ("172.17.0.3", 5000))[1][0] == \
            "172.17.0.3"
        # Behind it comes something that is.
        mark = word()
        net.udp(mark.encode(), (FAR, 5000))
        said(s, mark)
        assert "<" + text not in s.stderr
        assert srv.peers[0][0] == net.addr


def test_a_device_without_an_address(host):
    """As some networks of containers have them: a veth, a route to one
    address, and a neighbour that answers for all."""
    ns = host.netns("cali")
    host.near.sysctl("net.ipv4.ip_forward", 1)
    host.near.ip("link add cali1 type veth peer name eth0 netns %s\n"
                 "link set cali1 address ee:ee:ee:ee:ee:ee up\n"
                 "route add 172.30.0.2/32 dev cali1" % ns.name)
    host.near.sysctl("net.ipv4.conf.cali1.proxy_arp", 1)
    ns.ip("addr add 172.30.0.2/32 dev eth0\nlink set eth0 up\n"
          "route add 169.254.1.1 dev eth0\n"
          "route add default via 169.254.1.1")
    host.near.nft("table ip nat { chain p { type nat hook postrouting "
                  "priority srcnat; ip saddr 172.30.0.2 masquerade; }; }")
    wait_for(lambda: " 1 received" in ns.run(
        ["ping", "-n", "-q", "-c", 1, "-W", 1, FAR], check=False).stdout,
        "the container reaches the far side")
    with host.sluice(FORWARD + SAY) as s, UdpServer(host.far, FAR, 5000):
        text = word()
        c = ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        c.settimeout(5)
        c.sendto(text.encode(), (FAR, 5000))
        c.recv(100)
        c.close()
        assert said(s, text, 2) == [
            "forward 172.30.0.2 %s cali1 wire" % FAR,
            "forward %s 172.30.0.2 cali1 wire" % FAR]


# ---- real clients -------------------------------------------------------------

def clients_are_well(host, net, peer):
    """ping, curl, traceroute and iperf3 in a container; peer: as the far side
    sees it."""
    assert net.ping(FAR, 5) == 5
    assert net.ping(FAR, 2, "-s", 3000) == 2, "fragments"
    path = random_file(os.path.join(host.tmp, "page"), 4 << 20)
    with HttpServer(host.far, FAR, 80, path) as web:
        out = os.path.join(host.tmp, "got")
        net.ns.run(["curl", "-sS", "-o", out, "-m", 30,
                    "http://%s/" % FAR], timeout=40)
        assert sha256(out) == sha256(path)
        assert web.peers[0][0] == peer
    r = net.ns.run(["traceroute", "-n", "-q", 1, "-w", 2, "-m", 4, FAR])
    hops = re.findall(r"^ *\d+  (\S+)", r.stdout, re.M)
    assert hops == [net.net + ".1", FAR], r.stdout
    server = host.far.popen(["iperf3", "-s", "-1", "-B", FAR])
    wait_for(lambda: ":5201" in host.far.run(["ss", "-Htln"]).stdout,
             "iperf3 listens")
    r = net.ns.run(["iperf3", "-c", FAR, "-n", "32M", "-J"], timeout=60)
    assert '"error"' not in r.stdout
    server.wait(20)


def test_real_clients_behind_masquerade(host, docker):
    with host.sluice(FORWARD + LOOK):
        clients_are_well(host, docker, NEAR0)


def test_real_clients_without_nat(host):
    net = plain(host)
    with host.sluice(FORWARD + LOOK, way="route"):
        clients_are_well(host, net, net.addr)


def test_real_clients_with_everything_captured(host, docker):
    with host.sluice(ALL + LOOK):
        clients_are_well(host, docker, NEAR0)


def test_real_clients_and_several_workers(host, docker):
    with host.sluice(FORWARD + LOOK, "--workers", 3) as s:
        wait_for(lambda: len(s.workers()) == 3, "three workers")
        clients_are_well(host, docker, NEAR0)


def test_super_packets_pass_whole(offload_host):
    host = offload_host
    net = Network(host, whole=False).docker().ready(FAR)
    path = random_file(os.path.join(host.tmp, "data"), 64 << 20)
    with host.sluice(FORWARD + """
            local big = { up = 0, down = 0 }
            rule { name = "look", match = { proto = "tcp" },
                   action = function(pkt)
                       if pkt.len > 3000 then
                           count(pkt.dst == "%s" and "up" or "down", 1)
                       end
                   end }""" % FAR) as s:
        with SinkServer(host.far, FAR, 80) as sink:
            net.ns.run("nc -N %s 80 < %s" % (FAR, path), timeout=60)
            wait_for(lambda: sink.done, "all of it arrives")
            assert sink.digest.hexdigest() == sha256(path)
        with HttpServer(host.far, FAR, 81, path):
            out = os.path.join(host.tmp, "got")
            net.ns.run(["curl", "-sS", "-o", out, "-m", 60,
                        "http://%s:81/" % FAR], timeout=70)
            assert sha256(out) == sha256(path)
    for name in ("up", "down"):
        assert re.search(r"\b%s\b\D+[1-9]" % name, s.stderr), s.stderr


# ---- nothing but the rules changes a packet -----------------------------------

@pytest.mark.parametrize("nat", [True, False])
def test_ttl_each_way(host, nat):
    net = Network(host).docker().ready(FAR) if nat else plain(host)
    with host.sluice(FORWARD + LOOK), \
            UdpServer(host.far, FAR, 5000, echo=False) as far, \
            UdpServer(net.ns, "0.0.0.0", 80, echo=False) as near:
        for ttl in (2, 64, 255):
            data = os.urandom(16)
            net.udp(data, (FAR, 5000), ttl=ttl)
            wait_for(lambda: far.with_data(data), "TTL %d arrives" % ttl)
            assert far.with_data(data)[0].ttl == ttl - 1
            s = host.far.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
            s.sendto(data, (NEAR0, 8080) if nat else (net.addr, 80))
            s.close()
            wait_for(lambda: near.with_data(data), "TTL %d comes" % ttl)
            assert near.with_data(data)[0].ttl == ttl - 1
            assert len(near.with_data(data)) == len(far.with_data(data)) == 1


@pytest.mark.parametrize("nat", [True, False])
def test_path_mtu_is_found(host, nat):
    net = Network(host).docker().ready(FAR) if nat else plain(host)
    host.near.ip("link set up0 mtu 1400")
    host.far.ip("link set fu0 mtu 1400")
    with host.sluice(FORWARD + LOOK):
        r = net.ns.run(["ping", "-n", "-c", 1, "-M", "do", "-s", 1400, "-W", 3,
                        FAR], check=False)
        assert re.search(r"mtu ?= ?1400", r.stdout + r.stderr), r.stdout
        assert net.ping(FAR, 1, "-M", "do", "-s", 1372) == 1
        # Without DF the host cuts it.
        net.ns.run("ip route flush cache")
        assert net.ping(FAR, 1, "-M", "dont", "-s", 1450) == 1
        with EchoServer(host.far, FAR, 80):
            c = net.tcp((FAR, 80))
            echo_once(c, os.urandom(100000))
            c.close()


# ---- verdicts ------------------------------------------------------------------

def test_a_rule_drops_what_passes_each_way(host, docker):
    with host.sluice(FORWARD + """
            rule { match = { dir = "forward", dst = "%s", dport = 5001 },
                   action = function(pkt) return DROP end }
            rule { match = { dir = "forward", dst = "%s", sport = 5002 },
                   action = function(pkt) return DROP end }
            """ % (FAR, docker.addr) + SAY) as s, \
            UdpServer(host.far, FAR, 5001) as one, \
            UdpServer(host.far, FAR, 5002) as two, \
            UdpServer(host.far, FAR, 5003):
        for port in (5001, 5002):
            with pytest.raises(socket.timeout):
                docker.ask(b"x", (FAR, port), timeout=1)
        assert docker.ask(b"y", (FAR, 5003))[0] == b"y"
        assert not one.got and two.got
        assert "5002" not in s.stderr


def test_reject_tells_the_container(host, docker):
    with EchoServer(host.far, FAR, 81) as srv, host.sluice(FORWARD + """
            rule { match = { dir = "forward", dport = { 81, 5001 } },
                   action = function(pkt) return REJECT end }""" + LOOK):
        with pytest.raises(ConnectionRefusedError):
            docker.tcp((FAR, 81))
        s = docker.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(5)
        s.connect((FAR, 5001))
        s.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            s.recv(10)
        s.close()
        assert not srv.peers


def test_reject_of_an_answer_tells_the_far_side(host, docker):
    """It is taken where it leaves; the refusal goes back as if the container
    had said so, through the host's NAT."""
    with UdpServer(host.far, FAR, 5000, echo=False) as ear, \
            host.sluice(FORWARD + """
            rule { match = { dir = "forward", sport = 5000 },
                   action = function(pkt) return REJECT end }""" + LOOK), \
            host.capture(expr="icmp") as cap:
        docker.udp(b"ask", (FAR, 5000), sport=4000)
        wait_for(lambda: ear.peers, "it arrives")
        ear.sock.sendto(b"answer", ear.peers[0])
        cap.wait(lambda fs: [f for f in fs if f.ip.payload.type == 3],
                 "port unreachable comes")
        f = [f for f in cap.frames if f.ip.payload.type == 3][0]
        assert f.ip.src == NEAR0 and f.ip.dst == FAR
        inner = f.ip.payload.payload
        assert (inner.src, inner.dst) == (FAR, NEAR0)


def test_a_rule_changes_what_passes(host, docker):
    with host.sluice(FORWARD + """
            rule { match = { dir = "forward", proto = "udp" },
                   action = function(pkt)
                       pkt.payload = pkt.payload:upper() .. pkt.src
                       pkt.ip.ttl = 50
                   end }"""), UdpServer(host.far, FAR, 5000) as ear:
        data, _ = docker.ask(b"words", (FAR, 5000))
        assert ear.got[0].data == b"WORDS" + docker.addr.encode()
        assert ear.got[0].ttl == 49 and ear.peers[0][0] == NEAR0
        assert data == b"WORDS" + docker.addr.upper().encode() + FAR.encode()


def test_another_destination_is_routed_and_translated(host, docker):
    """And the answers, mapped back by a rule, come from where they were
    asked."""
    with host.sluice(FORWARD + """
            rule { match = { dir = "forward", dst = "192.0.2.99" },
                   action = function(pkt) pkt.dst = "%s" end }
            rule { match = { dir = "forward", src = "%s" },
                   action = function(pkt) pkt.src = "192.0.2.99" end }
            """ % (FAR1, FAR1)), \
            EchoServer(host.far, FAR1, 80) as srv:
        c = docker.tcp(("192.0.2.99", 80))
        echo_once(c)
        c.close()
        assert srv.peers[0][0] == "10.67.0.1", "masqueraded for up1"


def test_what_passes_is_turned_to_the_host_itself(host, docker):
    with host.sluice(FORWARD + """
            rule { match = { dir = "forward", dport = 80 },
                   action = function(pkt) pkt.dst = "172.17.0.1" end }"""), \
            UdpServer(host.near, "0.0.0.0", 80, echo=False) as ear:
        docker.udp(b"who", ("192.0.2.99", 80))
        wait_for(lambda: ear.got, "the host gets it")
        assert ear.peers[0][0] == docker.addr


def test_packets_in_place_of_one(host, docker):
    with host.sluice(FORWARD + """
            rule { match = { dir = "forward", proto = "udp", dport = 5000 },
                   action = function(pkt)
                       local more = pkt:clone()
                       more.payload = "more"
                       local other = pkt:clone()
                       other.dst = "%s"
                       other.payload = "other"
                       return { pkt:clone(), more, other }
                   end }
            rule { match = { dir = "forward", proto = "udp", dport = 5009 },
                   action = function(pkt)
                       return pkt:reply { payload = "no" } end }
            """ % FAR1), \
            UdpServer(host.far, FAR, 5000, echo=False) as one, \
            UdpServer(host.far, FAR1, 5000, echo=False) as two:
        docker.udp(b"first", (FAR, 5000))
        wait_for(lambda: len(one.got) == 2 and two.got, "all three arrive")
        assert [d.data for d in one.got] == [b"first", b"more"]
        assert {p[0] for p in one.peers} == {NEAR0}
        assert two.peers[0][0] == "10.67.0.1", "masqueraded as well"
        assert docker.ask(b"?", (FAR, 5009)) == (b"no", (FAR, 5009))


@pytest.mark.parametrize("nat", [True, False])
def test_what_is_sent_later_passes_as_it_would_have(host, nat):
    net = Network(host).docker().ready(FAR) if nat else plain(host)
    with host.sluice(FORWARD + """
            rule { match = { dir = "forward", proto = "udp" },
                   action = function(pkt)
                       send(pkt, { delay = 0.05 })
                       return DROP
                   end }"""), UdpServer(host.far, FAR, 5000) as ear:
        assert net.ask(b"late", (FAR, 5000)) == (b"late", (FAR, 5000))
        assert ear.got[0].ttl == 63 and len(ear.got) == 1
        assert ear.peers[0][0] == (NEAR0 if nat else net.addr)


def test_a_stream_is_changed_in_length(host, docker):
    with host.sluice(FORWARD + """
            rule { match = { dir = "forward", proto = "tcp" },
                   action = function(pkt)
                       pkt:replace("small", "very much larger")
                       pkt:replace("number", "n")
                   end }"""), EchoServer(host.far, FAR, 80):
        c = docker.tcp((FAR, 80))
        for i in range(50):
            text = b"[small number %d]" % i
            c.sendall(text)
            want = b"[very much larger n %d]" % i
            got = b""
            while len(got) < len(want):
                part = c.recv(len(want) - len(got))
                assert part, got
                got += part
            assert got == want
        c.close()


# ---- its end, and what comes and goes ------------------------------------------

def test_killed_nothing_is_left_and_traffic_flows(host, docker):
    s = host.sluice(ALL + LOOK).start()
    with EchoServer(host.far, FAR, 80):
        c = docker.tcp((FAR, 80))
        echo_once(c)
        s.proc.send_signal(signal.SIGKILL)
        s.wait()
        echo_once(c)
        c.close()
        assert docker.ping(FAR, 3) == 3
    wait_for(lambda: not re.search(
        r"\bsl[oifg]\d+", host.run("ip -o link; nft list ruleset").stdout),
        "devices and rules are gone")
    sluice(host, "down", check=0)
    s.assert_put_back()


def test_a_killed_worker_is_replaced(host, docker):
    with host.sluice(FORWARD + SAY) as s, UdpServer(host.far, FAR, 5000):
        os.kill(s.worker(), signal.SIGKILL)
        wait_for(lambda: "starting another" in s.stderr, "it is noticed")
        s.worker()

        def again():
            try:
                return docker.ask(word().encode(), (FAR, 5000), timeout=0.5)
            except socket.timeout:
                return None
        wait_for(again, "packets pass again")
        text = word()
        docker.ask(text.encode(), (FAR, 5000))
        assert len(said(s, text, 2)) == 2


def test_a_bridge_that_appears_while_it_runs(host, docker):
    with host.sluice(FORWARD + SAY) as s, UdpServer(host.far, FAR, 5000):
        s.same_after = False
        net = Network(host, "br1", "172.18.0")
        host.near.nft("""
            add rule ip nat POSTROUTING ip saddr 172.18.0.0/24 oifname != "br1" masquerade
            add rule ip filter FORWARD oifname "br1" ct state related,established accept
            add rule ip filter FORWARD iifname "br1" accept
            """)
        s.wait_err("uplink br1 is up")
        text = word()
        net.ask(text.encode(), (FAR, 5000))
        assert said(s, text, 2) == [
            "forward 172.18.0.2 %s br1 wire" % FAR,
            "forward %s 172.18.0.2 br1 wire" % FAR]
        host.near.ip("link del br1")
        s.wait_err("uplink br1 is gone")
        text = word()
        docker.ask(text.encode(), (FAR, 5000))
        assert len(said(s, text, 2)) == 2


# ---- uplinks without an Ethernet header ----------------------------------------

@pytest.mark.parametrize("nat", [True, False])
def test_through_a_tunnel(host, nat):
    """Where the kernel cannot mark what is handed back, what arrives by the
    tunnel is taken where it leaves."""
    net = Network(host).docker().ready(FAR) if nat else plain(host)
    with Tunnel(host, FAR):
        if not nat:
            host.far.ip("route replace 172.17.0.0/24 dev wgf")
        wait_for(lambda: net.ping(INNER_FAR) == 1, "the tunnel works")
        marks = kernel_can("skbedit")
        with host.sluice(FORWARD + """
                rule { match = { dir = "forward", dport = 5009 },
                       action = function(pkt) return REJECT end }
                """ + SAY.replace('proto = "udp"', 'proto = "udp", '
                                  'dir = "forward"')) as s, \
                UdpServer(host.far, INNER_FAR, 5000) as srv:
            assert ("wg0: what arrives is not captured there" in s.stderr) \
                == (not marks)
            text = word()
            assert net.ask(text.encode(), (INNER_FAR, 5000))[1] == \
                (INNER_FAR, 5000)
            back = "docker0" if nat or not marks else "wg0"
            assert said(s, text, 2) == [
                "forward %s %s docker0 wire" % (net.addr, INNER_FAR),
                "forward %s %s %s wire" % (INNER_FAR, net.addr, back)]
            assert srv.peers[0][0] == (INNER_NEAR if nat else net.addr)
            assert net.ping(INNER_FAR, 3, "-s", 3000) == 3
            c = net.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
            c.settimeout(5)
            c.connect((INNER_FAR, 5009))
            c.send(b"x")
            with pytest.raises(ConnectionRefusedError):
                c.recv(10)
            c.close()
            with EchoServer(host.far, INNER_FAR, 80):
                c = net.tcp((INNER_FAR, 80))
                echo_once(c, os.urandom(100000))
                c.close()


def ipsec(host, net):
    """A tunnel between both sides, for what is from net to FAR."""
    lan = net.net + ".0/24"
    for ns in (host.near, host.far):
        for spi, (src, dst) in enumerate(((NEAR0, GW0), (GW0, NEAR0)), 1):
            ns.run(["ip", "xfrm", "state", "add", "src", src, "dst", dst,
                    "proto", "esp", "spi", spi, "mode", "tunnel", "auth",
                    "hmac(sha256)", "0x" + "11" * 32, "enc", "cbc(aes)",
                    "0x" + "22" * 16])
    there = (lan, FAR + "/32", NEAR0, GW0)
    back = (FAR + "/32", lan, GW0, NEAR0)
    for ns, dir_, (src, dst, left, right) in (
            (host.near, "out", there), (host.near, "fwd", back),
            (host.far, "out", back), (host.far, "in", there)):
        ns.run("ip xfrm policy add src %s dst %s dir %s tmpl src %s dst %s "
               "proto esp mode tunnel" % (src, dst, dir_, left, right))


@pytest.mark.parametrize("dirs", [FORWARD, ALL])
def test_a_gateway_with_ipsec(host, dirs):
    """What was decrypted is taken where it leaves: handed back where it
    arrived, the policy would not let it pass."""
    if not kernel_can("esp"):
        pytest.skip("no ESP in this kernel")
    net = plain(host)
    ipsec(host, net)
    wait_for(lambda: net.ping(FAR) == 1, "the tunnel works")
    with host.sluice(dirs + SAY.replace('proto = "udp"', 'proto = "udp", '
                                        'dir = "forward"')) as s, \
            UdpServer(host.far, FAR, 5000), \
            host.capture(expr="proto 50") as cap:
        text = word()
        assert net.ask(text.encode(), (FAR, 5000))[0] == text.encode()
        assert said(s, text, 2) == [
            "forward %s %s docker0 wire" % (net.addr, FAR),
            "forward %s %s docker0 wire" % (FAR, net.addr)]
        cap.wait(lambda fs: fs, "it is ESP on the link")


# ---- rules of others -----------------------------------------------------------

MARKS = {
    "replaced": "meta mark set 0x1",
    "restored": "meta mark set ct mark",
    "cleared": "meta mark set 0",
}


@pytest.mark.parametrize("what", sorted(MARKS))
def test_each_packet_once_whatever_others_do_to_the_mark(host, docker, what):
    host.near.nft("""
        table ip theirs {
            chain pre {
                type filter hook prerouting priority mangle;
                %s
            }
            chain post {
                type filter hook postrouting priority mangle;
                ct mark set meta mark
            }
        }""" % MARKS[what])
    with host.sluice(FORWARD + SAY) as s, UdpServer(host.far, FAR, 5000):
        for _ in range(2):
            text = word()
            docker.ask(text.encode(), (FAR, 5000), sport=4000)
            assert said(s, text, 2) == [
                "forward %s %s docker0 wire" % (docker.addr, FAR),
                "forward %s %s docker0 wire" % (FAR, docker.addr)]


def test_a_published_port_from_another_network(host, docker):
    """Where bridged packets go through iptables, the host translates this one
    before it leaves the bridge."""
    net = Network(host, "br1", "172.18.0")
    host.near.nft('add rule ip filter FORWARD ct state established accept\n'
                  'add rule ip filter FORWARD ct status dnat accept')
    with EchoServer(docker.ns, "0.0.0.0", 80) as srv:
        def works():
            c = net.tcp((NEAR0, 8080))
            echo_once(c)
            c.close()
            assert srv.peers[-1][0] == net.addr
        works()
        for rules in (FORWARD + LOOK, ALL + LOOK):
            with host.sluice(rules):
                works()
