# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules at work: each verdict, the packet object, the rule library, with real
clients."""
import os
import re
import socket
import time

import pytest
from scapy.layers.inet import TCP

from far import DnsServer, EchoServer, HelloServer, HttpServer, UdpServer
from host import FAR, FAR1, GOOGLE, GW0, NEAR0, echo_once
from net import wait_for
from sluice import rule
from test_data import assert_checksums, assert_tshark_agrees

# auto is one of the two here; test_capture.py has the hosts where it matters.
every_way = pytest.mark.parametrize("way", ["route", "wire"])


def curl(host, url, *options):
    r = host.run(["curl", "-sS", "-m", 8, *options, url], check=False)
    return r.returncode, r.stdout, r.stderr


# ---- verdicts ---------------------------------------------------------------

VERDICTS = {
    # rule text: does the datagram to port 5999 arrive, and with which TTL
    "nothing": ("rule { name = 'r', action = function(pkt) "
                "pkt.ip.ttl = 70 end }\n"
                "rule { name = 's', action = function(pkt) "
                "pkt.ip.ttl = pkt.ip.ttl + 1 end }", 71),
    "accept": ("rule { name = 'r', action = function(pkt) "
               "pkt.ip.ttl = 70 return ACCEPT end }\n"
               "rule { name = 's', action = DROP }", 70),
    "accept_constant": ("rule { name = 'r', match = { dport = 5999 }, "
                        "action = ACCEPT }\n"
                        "rule { name = 's', action = function(pkt) "
                        "return DROP end }", 64),
    "drop": ("rule { name = 'r', action = function(pkt) return DROP end }",
             None),
    "drop_constant": ("rule { name = 'r', action = DROP }", None),
    "policy_drop": ("policy(DROP)", None),
    "policy_drop_but_for": (
        "rule { name = 'r', match = { proto = 'udp', dport = 5999 }, "
        "action = ACCEPT } policy(DROP)", 64),
    "packets_in_its_place": (
        "rule { name = 'r', match = { proto = 'udp', dport = 5998 }, "
        "action = ACCEPT }\n"
        "rule { name = 's', action = function(pkt) local p = pkt:clone() "
        "p.ip.ttl = 72 return { p } end }", 72),
    "rewrite": ("rule { name = 'r', rewrite = { ttl = 73 } }", 73),
    "where_true": ("rule { name = 'r', where = function(pkt) return "
                   "pkt.dport == 5999 end, rewrite = { ttl = 74 } }", 74),
    "where_false": ("rule { name = 'r', where = function(pkt) return "
                    "pkt.dport == 1 end, rewrite = { ttl = 74 } }", 64),
    "an_error_accepts": ("rule { name = 'r', action = function(pkt) "
                         "pkt.ip.ttl = 70 error('oops') end }", 64),
    "an_error_drops": ("on_error(DROP) rule { name = 'r', match = { dport = "
                       "5999 }, action = function(pkt) error('oops') end }",
                       None),
    "an_endless_loop_accepts": (
        "rule { name = 'r', match = { dport = 5999 }, action = function(pkt) "
        "while true do pcall(function() while true do end end) end end }", 64),
    "a_memory_bomb_accepts": (
        "rule { name = 'r', match = { dport = 5999 }, action = function(pkt) "
        "local t = {} while true do t[#t + 1] = ('x'):rep(1 << 20) .. #t end "
        "end }", 64),
}


@every_way
@pytest.mark.parametrize("name", VERDICTS)
def test_verdict(host, way, name):
    text, ttl = VERDICTS[name]
    fence = ("rule { name = 'fence', match = { proto = 'udp', dport = 7777 },"
             " action = function(pkt) return ACCEPT end }\n")
    with host.sluice(fence + text, way=way) as s:
        for kw in ({}, {"dev": "up0"}):
            if ttl is None:
                assert host.udp_blocked(FAR, **kw)
            else:
                d = host.udp_arrives(FAR, timeout=10, **kw)
                assert d and d.ttl == ttl, d
        if name.startswith("an_"):
            m = s.wait_err(re.compile(r"^sluice: .*\br\b.*$", re.M))
            assert re.search(r"rule\d+\.lua:\d+", m.group(0)), m.group(0)


@every_way
def test_reject_is_seen_by_curl_as_refused(host, way):
    with host.sluice("rule { name = 'r', match = { proto = 'tcp', dport = 80 "
                     "}, action = REJECT }", way=way), \
            HttpServer(host.far, FAR, 80), host.capture() as cap:
        for extra in ([], ["--interface", "up0"]):
            start = time.monotonic()
            code, _, err = curl(host, "http://%s/" % FAR, "-v", *extra)
            assert code == 7 and "refused" in err.lower(), err
            assert time.monotonic() - start < 4
        host.settle(cap)
        assert not [f for f in cap.frames if f.ip.proto == 6]


@every_way
def test_reject_is_seen_by_nc_as_refused(host, way):
    with host.sluice("rule { name = 'r', match = { dport = 5001 }, "
                     "action = function(pkt) return REJECT end }", way=way):
        r = host.run(["nc", "-v", "-w", 5, FAR, 5001], check=False)
        assert r.returncode != 0 and "refused" in (r.stdout + r.stderr).lower()
        s = host.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(5)
        s.connect((FAR, 5001))
        s.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            s.recv(10)
        s.close()


@every_way
@pytest.mark.parametrize("code,says", [
    ("admin-prohibited", "Packet filtered"),
    ("host-unreachable", "Destination Host Unreachable"),
    ("net-unreachable", "Destination Net Unreachable")])
def test_reject_with_a_code_is_seen_by_ping(host, way, code, says):
    with host.sluice("rule { name = 'r', match = { proto = 'icmp' }, "
                     "action = function(pkt) return reject('%s') end }" % code,
                     way=way):
        r = host.run(["ping", "-n", "-c", 1, "-W", 5, FAR], check=False)
        assert says in r.stdout, r.stdout


@every_way
def test_an_established_connection_is_reset_by_reject(host, way):
    with host.sluice("""
            rule { name = 'r', match = { proto = 'tcp', dport = 80 },
                   where = function(pkt) return pkt.payload:find('secret')
                   end, action = REJECT }""", way=way), \
            EchoServer(host.far, FAR, 80):
        c = host.tcp((FAR, 80))
        echo_once(c, b"harmless")
        c.sendall(b"a secret")
        with pytest.raises(ConnectionResetError):
            c.recv(100)
        c.close()


@every_way
def test_via_another_interface(host, way):
    """via() sends by an interface, with the source that belongs there."""
    with host.sluice("""
            rule { name = 'v', match = { proto = 'udp', dport = 5999 },
                   action = function(pkt) return via('up1') end }""", way=way):
        d = host.udp_arrives(FAR)
        assert d and d.peer[0] == "10.67.0.1", d


@every_way
def test_a_packet_to_another_destination_finds_its_own_way(host, way):
    with host.sluice("""
            rule { name = 'to', match = { proto = 'udp', dport = 5999 },
                   action = function(pkt)
                       local p = pkt:clone()
                       p.dst = "%s"
                       return p end }""" % FAR1, way=way), \
            UdpServer(host.far, FAR1, 5999, echo=False) as ear, \
            host.capture() as cap:
        for kw in ({}, {"dev": "up0"}):
            ear.got.clear()
            host.udp(b"to the other", (FAR, 5999), **kw)
            wait_for(lambda: ear.got, "it arrives by the other uplink")
        host.settle(cap)
    got = cap.with_bytes(b"to the other")
    assert {f.dev for f in got} == {"fu1"} and len(got) == 2


@every_way
def test_a_packet_that_a_rule_makes_and_sends(host, way):
    with host.sluice("""
            rule { name = 'tell', match = { proto = 'udp', dport = 5999 },
                   action = function(pkt)
                       send(packet { src = pkt.src, dst = "%s", ttl = 5,
                                     udp = { sport = 7, dport = 5998 },
                                     payload = "told: " .. pkt.payload })
                   end }""" % GW0, way=way), \
            UdpServer(host.far, GW0, 5998, echo=False) as ear:
        assert host.udp_arrives(FAR)
        wait_for(lambda: ear.got, "the made packet arrives")
        assert ear.got[0].data.startswith(b"told: ")
        assert ear.got[0].peer == (NEAR0, 7) and ear.got[0].ttl in (4, 5)


# ---- fabricated replies -----------------------------------------------------

@every_way
def test_ping_takes_a_fabricated_reply(host, way):
    """Three replies, and no ICMP on the wire."""
    with host.sluice(rule("icmp-echo"), way=way), host.capture() as cap:
        for dst in (GOOGLE, "192.0.2.1", FAR1):
            r = host.run(["ping", "-n", "-c", 3, "-i", 0.2, "-W", 3, dst])
            assert "3 received" in r.stdout and "DUP" not in r.stdout
        r = host.run(["ping", "-n", "-I", "up0", "-c", 3, "-i", 0.2, "-W", 3,
                      GOOGLE])
        assert "3 received" in r.stdout
        host.settle(cap)
        assert not [f for f in cap.frames if f.ip.proto == 1]


@every_way
def test_ping_takes_a_large_fabricated_reply(host, way):
    """At the wire it comes in fragments, of which the rule drops the first."""
    with host.sluice(rule("icmp-echo"), way=way):
        for size in (0, 1472, 5000, 20000):
            whole = size < 1480 or way != "wire"
            assert host.ping(GOOGLE, 1, "-s", size) == whole, size


@every_way
def test_a_fabricated_udp_answer(host, way):
    with host.sluice("""
            rule { name = 'answer', match = { proto = 'udp', dport = 5999 },
                   action = function(pkt)
                       return pkt:reply { payload = pkt.payload:reverse() }
                   end }""", way=way):
        for dev in (None, b"up0"):
            s = host.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.settimeout(5)
            if dev:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, dev)
            s.connect(("192.0.2.50", 5999))
            s.send(b"abc")
            assert s.recv(100) == b"cba"
            s.close()


@every_way
def test_fabricated_errors_reach_their_socket(host, way):
    with host.sluice("""
            rule { name = 'exceeded', match = { proto = 'icmp' },
                   action = function(pkt)
                       return pkt:time_exceeded { from = "192.0.2.66" } end }
            """, way=way):
        r = host.run(["ping", "-n", "-c", 1, "-W", 5, FAR], check=False)
        assert "From 192.0.2.66" in r.stdout, r.stdout
        assert "Time to live exceeded" in r.stdout


# ---- the rule library -------------------------------------------------------

@every_way
def test_library_audit_changes_nothing(host, way):
    with host.sluice(rule("audit"), "--audit", way=way) as s:
        d = host.udp_arrives(FAR)
        assert d.ttl == 64
        s.wait_out(FAR + ":5999")


@every_way
def test_library_block_list(host, way):
    path = host.file("blocked.txt",
                     "# a comment\n198.51.100.0/24\n!198.51.100.9\n\n"
                     "203.0.113.9   # one address\n")
    host.far.ip("addr add 198.51.100.8/32 dev lo")
    with host.sluice(rule("block-list"), "--arg", "file=" + path, way=way), \
            HttpServer(host.far, "0.0.0.0", 80):
        assert curl(host, "http://%s/" % FAR)[0] == 0
        assert curl(host, "http://198.51.100.8/")[0] == 7
        assert curl(host, "http://%s/" % FAR1)[0] == 7
        assert curl(host, "http://%s/" % FAR1, "--interface", "up1")[0] == 7
        r = host.run(["ping", "-n", "-c", 1, "-W", 5, "198.51.100.8"],
                     check=False)
        assert "Packet filtered" in r.stdout


@every_way
def test_library_redirect_with_answers_mapped_back(host, way):
    with host.sluice(rule("redirect"), "--arg", "from=203.0.113.1:80",
                     "--arg", "to=%s:8080" % FAR, way=way), \
            HttpServer(host.far, FAR, 8080, body=b"redirected\n"), \
            host.capture() as cap:
        code, out, err = curl(host, "http://203.0.113.1/")
        assert (code, out) == (0, "redirected\n"), err
        code, out, err = curl(host, "http://203.0.113.1/", "--interface",
                              "up0")
        assert (code, out) == (0, "redirected\n"), err
        c = host.tcp(("203.0.113.1", 80))
        assert c.getpeername() == ("203.0.113.1", 80)
        c.close()
        assert not [f for f in cap.frames if f.ip.dst == "203.0.113.1"]


@every_way
def test_library_redirect_of_udp(host, way):
    with host.sluice(rule("redirect"), "--arg", "from=203.0.113.1:53",
                     "--arg", "to=%s:5353" % FAR, "--arg", "proto=udp",
                     way=way), UdpServer(host.far, FAR, 5353):
        s = host.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(5)
        s.connect(("203.0.113.1", 53))
        for n in (10, 700, 1400):
            data = os.urandom(n)
            s.send(data)
            assert s.recv(65535) == data, n
        s.close()


@every_way
def test_library_redirect_carries_a_large_transfer(offload_host, way):
    host = offload_host
    body = os.urandom(5 << 20)
    path = host.file("body", body)
    with host.sluice(rule("redirect"), "--arg", "from=203.0.113.1:80",
                     "--arg", "to=%s:8080" % FAR, way=way), \
            HttpServer(host.far, FAR, 8080, path=path):
        got = os.path.join(host.tmp, "got")
        host.run(["curl", "-sS", "-m", 30, "-o", got, "http://203.0.113.1/"],
                 timeout=40)
        with open(got, "rb") as f:
            assert f.read() == body


@every_way
def test_library_ttl(host, way):
    with host.sluice(rule("ttl"), "--arg", "ttl=9", way=way):
        for kw in ({}, {"ttl": 1}, {"ttl": 255}, {"dev": "up0"}):
            assert host.udp_arrives(FAR, **kw).ttl == 9


@every_way
def test_library_dscp(host, way):
    with host.sluice(rule("dscp"), "--arg", "dscp=af41", "--arg",
                     "dport=5999", way=way), host.capture() as cap:
        assert host.udp_arrives(FAR).tos == 0x88
        assert host.udp_arrives(FAR, dev="up0").tos == 0x88
        host.udp(b"unmarked", (FAR, 5000))
        host.settle(cap)
        assert cap.with_bytes(b"unmarked")[0].ip.tos == 0


@every_way
def test_library_reject_port(host, way):
    with host.sluice(rule("reject-port"), "--arg", "port=80", way=way), \
            HttpServer(host.far, FAR, 80), HttpServer(host.far, FAR, 8080):
        assert curl(host, "http://%s/" % FAR)[0] == 7
        assert curl(host, "http://%s/" % FAR, "--interface", "up0")[0] == 7
        assert curl(host, "http://%s:8080/" % FAR)[0] == 0


@every_way
@pytest.mark.parametrize("method", ["", "-I", "-T"], ids=["udp", "icmp",
                                                          "tcp"])
def test_library_fake_hops(host, way, method):
    hops = ["192.0.2.11", "192.0.2.12", "192.0.2.13"]
    with host.sluice(rule("fake-hops"), "--arg", "dst=198.51.100.0/24",
                     way=way), HelloServer(host.far, FAR, 80):
        r = host.run(["traceroute", "-n", "-q", 1, "-w", 3, "-m", 6]
                     + ([method] if method else []) + [FAR], timeout=60)
        seen = [l.split()[1] for l in r.stdout.splitlines()[1:]]
        assert seen[:3] == hops and seen[3] == FAR, r.stdout


@every_way
def test_library_mss_clamp(host, way):
    with host.sluice(rule("mss-clamp"), "--arg", "mss=1000", way=way), \
            EchoServer(host.far, FAR, 80), host.capture(expr="tcp") as cap:
        for kw in ({}, {"dev": "up0"}):
            c = host.tcp((FAR, 80), **kw)
            # The far side keeps to what was announced.
            echo_once(c, os.urandom(20000))
            c.close()
    syns = [f for f in cap.frames if f.ip[TCP].flags == "S"]
    assert [dict(f.ip[TCP].options)["MSS"] for f in syns] == [1000, 1000]
    assert_checksums(cap.frames)


@every_way
def test_library_mss_clamp_never_raises(host, way):
    with host.sluice(rule("mss-clamp"), "--arg", "mss=9000", way=way), \
            EchoServer(host.far, FAR, 80), host.capture(expr="tcp") as cap:
        c = host.tcp((FAR, 80))
        c.close()
    assert dict(cap.frames[0].ip[TCP].options)["MSS"] == 1460


@every_way
def test_library_dns_sinkhole(host, way):
    with host.sluice(rule("dns-sinkhole"), "--arg",
                     "names=ads.example,tracker.test", "--arg",
                     "to=192.0.2.7", way=way), \
            DnsServer(host.far, FAR) as dns:
        def dig(name, *options):
            return host.run(["dig", "+short", "+time=3", "+tries=1",
                             *options, "@" + FAR, name]).stdout.strip()
        assert dig("ads.example") == "192.0.2.7"
        assert dig("www.Ads.Example") == "192.0.2.7"
        assert dig("a.b.tracker.test") == "192.0.2.7"
        assert dig("ads.example", "-t", "AAAA") == ""
        assert dns.names == [], "no such question left the host"
        assert dig("good.example") == FAR
        assert dig("notads.example") == FAR
        assert sorted(dns.names) == ["good.example.", "notads.example."]


# ---- matches ----------------------------------------------------------------

MATCHES = [
    # (match, the datagram's ways of being sent, does it match)
    ("proto = 'udp'", {}, True),
    ("proto = 17", {}, True),
    ("proto = 'tcp'", {}, False),
    ("proto = '!tcp'", {}, True),
    ("proto = { 'tcp', 'udp' }", {}, True),
    ("dst = '198.51.100.9'", {}, True),
    ("dst = '198.51.100.0/24'", {}, True),
    ("dst = '!198.51.100.0/24'", {}, False),
    ("dst = '198.51.100.1-198.51.100.9'", {}, True),
    ("dst = '198.51.100.1-198.51.100.8'", {}, False),
    ("dst = set { '198.51.100.0/24', '!198.51.100.9' }", {}, False),
    ("dst = set { '198.51.0.0/16', '!198.51.1.0/24' }", {}, True),
    ("src = '10.66.0.1'", {}, True),
    ("src = '10.67.0.0/16'", {}, False),
    ("dport = 5999", {}, True),
    ("dport = '5000-6000'", {}, True),
    ("dport = { 80, '5990-5999' }", {}, True),
    ("dport = '!5999'", {}, False),
    ("sport = '1024-65535'", {}, True),
    ("sport = '1-1023'", {}, False),
    ("ttl = 64", {}, True),
    ("ttl = '1-63'", {}, False),
    ("ttl = 255", {"ttl": 255}, True),
    ("len = 44", {}, True),
    ("len = '45-65535'", {}, False),
    ("dscp = 'ef'", {"options": [(0, 1, 0xb8)]}, True),
    ("dscp = 0", {"options": [(0, 1, 0xb8)]}, False),
    ("fragment = true", {}, False),
    ("fragment = false", {}, True),
    ("dir = 'out'", {}, True),
    ("dir = 'in'", {}, False),
    ("oif = 'up0'", {"dev": "up0"}, True),
    ("oif = 'up1'", {"dev": "up0"}, False),
    ("oif = 'up0'", {}, True),
    ("oif = 'up1'", {"dst": FAR1}, True),
    ("oif = '!up1'", {"dst": FAR1}, False),
]


@pytest.fixture(scope="module", params=["route", "wire"])
def matching(request):
    """All matches of the table at once: each rule notes its number."""
    from host import Host
    h = Host()
    text = ["local hit = {}"]
    for i, (match, _, _) in enumerate(MATCHES):
        text.append("rule { name = 'm%d', match = { %s }, action = "
                    "function(pkt) hit[#hit + 1] = %d end }" % (i, match, i))
    text.append("""rule { name = 'end', action = function(pkt)
                       if pkt.dport == 5999 then
                           audit(pkt, '<' .. pkt.payload:byte(1) .. ': ' ..
                                 table.concat(hit, ' ') .. '>')
                       end
                       hit = {}
                   end }""")
    s = h.sluice("\n".join(text) + "\n", "--audit", "--json",
                 way=request.param)
    trouble = None
    try:
        s.start()
    except AssertionError as e:
        trouble = e
    yield h, s, trouble
    try:
        if trouble:
            s.abandon()
        else:
            s.stop()
    finally:
        h.close()


@pytest.mark.parametrize("number", range(len(MATCHES)),
                         ids=[re.sub(r"[^\w!]+", "_", m) for m, _, _ in
                              MATCHES])
def test_match(matching, number):
    h, s, trouble = matching
    if trouble:
        raise AssertionError(str(trouble))
    _, kw, want = MATCHES[number]
    kw = dict(kw)
    h.udp(bytes([number + 1]) * 16, (kw.pop("dst", FAR), 5999), **kw)
    m = s.wait_out(re.compile(r"<%d: (.*)>" % (number + 1)))
    assert (str(number) in m.group(1).split()) == want


def test_match_tcp_flags_icmp_and_payload(host, way):
    with host.sluice("""
            rule { name = 'syn', match = { tcp_flags = 'S' },
                   action = function(p) log('<syn>') end }
            rule { name = 'notack', match = { tcp_flags = 'S/SA' },
                   action = function(p) log('<S/SA>') end }
            rule { name = 'ack', match = { tcp_flags = 'A/A' },
                   action = function(p) log('<A/A>') end }
            rule { name = 'get', match = { payload = 'GET ' },
                   action = function(p) log('<get>') end }
            rule { name = 'ping', match = { icmp_type = 'echo-request',
                                            icmp_code = 0 },
                   action = function(p) log('<ping>') end }
            rule { name = 'pong', match = { icmp_type = 0 },
                   action = function(p) log('<pong>') end }
            """, way=way) as s, HttpServer(host.far, FAR, 80):
        assert curl(host, "http://%s/" % FAR)[0] == 0
        host.ping(FAR, 1, check=1)
        for word in ("syn", "S/SA", "A/A", "get", "ping"):
            s.wait_err("<%s>" % word)
        assert s.stderr.count("<syn>") == 1 == s.stderr.count("<S/SA>")
        assert s.stderr.count("<get>") == 1
        assert "<pong>" not in s.stderr
        host.far.run(["ping", "-n", "-c", 1, "-W", 3, NEAR0])
        s.wait_err("<pong>")


# ---- log, count, set, args --------------------------------------------------

def test_args_log_and_count(host, way):
    with host.sluice("""
            rule { name = 'r', match = { proto = 'udp', dport = 5999 },
                   action = function(pkt) log(args.word, 7)
                   count('seen', 2) end }""", "--arg", "word=hello",
                     way=way) as s:
        for _ in range(3):
            assert host.udp_arrives(FAR)
        s.wait_err(re.compile(r"hello\s+7"))
        s.stop()
        assert re.search(r"seen\D*6\b", s.stderr), s.stderr


def test_a_set_that_a_rule_changes(host, way):
    with host.sluice("""
            local s = set {}
            rule { name = 'fence', match = { proto = 'udp', dport = 7777 },
                   action = function(pkt) return ACCEPT end }
            rule { name = 'learn', match = { proto = 'udp', dport = 5000 },
                   action = function(pkt) s:add(pkt.payload) end }
            rule { name = 'forget', match = { proto = 'udp', dport = 5001 },
                   action = function(pkt) s:remove(pkt.payload) end }
            rule { name = 'block', match = { dst = s },
                   action = function(pkt) return DROP end }""", way=way), \
            UdpServer(host.far, "0.0.0.0", 5000, echo=False) as learn, \
            UdpServer(host.far, "0.0.0.0", 5001, echo=False) as forget:
        assert not host.udp_blocked(FAR)
        host.udp(FAR.encode(), (GW0, 5000))
        wait_for(lambda: learn.got, "learnt")
        assert host.udp_blocked(FAR)
        host.udp(FAR.encode(), (GW0, 5001))
        wait_for(lambda: forget.got, "forgotten")
        assert not host.udp_blocked(FAR)


def test_a_packet_kept_past_its_call_answers_with_an_error(host, way):
    with host.sluice("""
            local kept
            rule { name = 'keep', match = { proto = 'udp', dport = 5999 },
                   action = function(pkt)
                       if kept then log('kept: ' .. kept.src) end
                       kept = pkt end }""", way=way) as s:
        assert host.udp_arrives(FAR)
        assert host.udp_arrives(FAR)
        line = s.wait_err(re.compile(r"^.*keep.*$", re.M)).group(0)
        assert re.search(r"rule\d+\.lua:\d+", line), line
        assert "kept: " not in s.stderr


def test_errors_are_logged_at_a_bounded_rate(host, way):
    with host.sluice("rule { name = 'bad', match = { proto = 'udp' }, "
                     "action = function(pkt) error('oops') end }",
                     way=way) as s:
        for i in range(2000):
            host.udp(b"x", (FAR, 9))
        wait_for(lambda: host.udp_arrives(FAR, timeout=1),
                 "traffic goes on", 20)
        s.stop()
        assert 1 <= s.stderr.count("oops") < 200


def test_fragments_match_and_have_no_ports(host, way):
    with host.sluice("""
            rule { name = 'later', match = { fragment = true },
                   action = function(pkt)
                       log('<frag ' .. tostring(pkt.dport) .. ' ' ..
                           pkt.ip.frag_offset .. '>') end }""",
                     way="wire") as s, \
            UdpServer(host.far, FAR, 5999, echo=False) as ear:
        data = os.urandom(4000)
        host.udp(data, (FAR, 5999), dev="up0")
        wait_for(lambda: ear.with_data(data), "it arrives whole")
        s.wait_err(re.compile(r"<frag nil [1-9]"))


# ---- sums on answers --------------------------------------------------------

@every_way
def test_everything_that_rules_make_has_right_sums(host, way):
    """Replies, errors and resets, sent on to the far side and judged there:
    arrivals answered by rules."""
    with host.sluice("""
            capture { dir = { "out", "in" } }
            rule { name = 'u', match = { dir = 'in', proto = 'udp',
                       dport = 5000 },
                   action = function(pkt)
                       return pkt:reply { payload = "an answer" } end }
            rule { name = 'e', match = { dir = 'in', proto = 'icmp',
                       icmp_type = 'echo-request' },
                   action = function(pkt) return pkt:echo_reply() end }
            rule { name = 'p', match = { dir = 'in', proto = 'udp',
                       dport = 5001 },
                   action = function(pkt)
                       return pkt:unreachable('port-unreachable') end }
            rule { name = 'r', match = { dir = 'in', proto = 'tcp' },
                   action = function(pkt) return pkt:rst() end }
            """, way=way), host.capture() as cap:
        s = host.far.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(5)
        s.sendto(b"question", (NEAR0, 5000))
        assert s.recv(100) == b"an answer"
        s.close()
        host.far.run(["ping", "-n", "-c", 1, "-W", 5, NEAR0])
        s = host.far.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(5)
        s.connect((NEAR0, 5001))
        s.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            s.recv(10)
        s.close()
        c = host.far.socket(socket.AF_INET, socket.SOCK_STREAM)
        c.settimeout(5)
        with pytest.raises(ConnectionRefusedError):
            c.connect((NEAR0, 80))
        c.close()
    assert {f.ip.proto for f in cap.frames} == {1, 6, 17}
    assert_checksums(cap.frames)
    assert_tshark_agrees(host, cap)
