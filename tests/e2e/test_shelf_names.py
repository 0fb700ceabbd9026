# SPDX-License-Identifier: GPL-2.0-or-later
"""The second shelf of the rule library: names, lists, knocks and probes, with
real clients, judged on the far side."""
import contextlib
import os
import re
import socket
import ssl
import struct

import pytest
from scapy.layers.inet import ICMP, TCP, UDP

from far import DnsServer, EchoServer, HttpServer, Server, UdpServer
from host import FAR, FENCE, GOOGLE, NEAR0, echo_once
from net import wait_for
from sluice import rule
from test_data import assert_checksums

both_ways = pytest.mark.parametrize("way", ["route", "wire"])


def args(**kw):
    out = []
    for name, value in kw.items():
        out += ["--arg", "%s=%s" % (name, value)]
    return out


def library(host, name, way=None, options=(), cmd=None, **kw):
    return host.sluice([rule(name)], *options, *args(**kw), way=way, cmd=cmd)


def ends(s, status=0):
    """It ends by itself; what it said."""
    try:
        s.start(ready=False)
        s.wait(30)
        s.check_after()
        assert s.returncode == status, s.stderr
        return s.stderr
    finally:
        s.kill()


def dig(host, name, *options):
    return host.run(["dig", "+time=3", "+tries=1", *options, "@" + FAR, name],
                    check=False).stdout


def curl(host, name, port, *options):
    scheme = {80: "http", 443: "https"}[port]
    r = host.run(["curl", "-sSk", "-m", 8, "--resolve",
                  "%s:%d:%s" % (name, port, FAR), *options,
                  "%s://%s/" % (scheme, name)], check=False)
    return r.returncode, r.stdout


def tcp_to(cap, port):
    return [f.ip for f in cap.frames
            if f.ip and f.ip.haslayer(TCP) and f.ip[TCP].dport == port]


def segments(sock, *parts):
    """Each part in a segment of its own."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for part in parts:
        sock.sendall(part)


def assert_refused(host, cap, port, secret):
    """The server was told, and never got the bytes that name the host."""
    host.settle(cap)
    got = tcp_to(cap, port)
    assert not [p for p in got if secret in bytes(p[TCP].payload)], got
    resets = [p for p in got if "R" in p[TCP].flags]
    assert len(resets) == 1, got
    # Where the server expects the next byte: it takes the RST at once.
    sent = [p[TCP].seq + len(p[TCP].payload) for p in got
            if p[TCP].flags != "S" and "R" not in p[TCP].flags]
    assert resets[0][TCP].seq == max(sent), got
    assert_checksums(cap.frames)


# ---- DNS --------------------------------------------------------------------

@both_ways
def test_dns_block(host, way):
    with library(host, "dns-block", way, names="ads.example,x.test"), \
            DnsServer(host.far, FAR) as dns, \
            EchoServer(host.far, FAR, 53), host.capture() as cap:
        for name in ("ads.example", "www.Ads.Example", "a.b.x.test"):
            out = dig(host, name)
            assert "status: NXDOMAIN" in out and "WARNING" not in out, out
        assert "status: NXDOMAIN" in dig(host, "x.test", "-t", "AAAA")
        assert dns.names == [], "no such question left the host"
        assert dig(host, "good.example", "+short").strip() == FAR
        assert dns.names == ["good.example."]
        # Over TCP the connection is made, and ends at the question.
        assert "status" not in dig(host, "ads.example", "+tcp")
        host.settle(cap)
        assert tcp_to(cap, 53)
        assert not cap.with_bytes(b"\3ads\7example")


@both_ways
def test_dns_log(host, way):
    with library(host, "dns-log", way, seconds=1) as s:
        with DnsServer(host.far, FAR, answer="192.0.2.7") as dns:
            dig(host, "www.example.com")
            assert dns.names == ["www.example.com."]
            s.wait_err(re.compile(r"^sluice: %s A www\.example\.com: "
                                  r"192\.0\.2\.7 \(\d+\.\d ms\)$"
                                  % re.escape(FAR), re.M))
        with UdpServer(host.far, FAR, 53, echo=False):
            dig(host, "nobody.example", "+time=1", "-t", "MX")
            s.wait_err("sluice: %s MX nobody.example: no answer" % FAR)
    assert re.search(r"count questions: 2$", s.stderr, re.M), s.stderr
    assert re.search(r"count answers: 1$", s.stderr, re.M), s.stderr
    assert re.search(r"count unanswered: 1$", s.stderr, re.M), s.stderr


# ---- HTTP and TLS -----------------------------------------------------------

@both_ways
def test_http_host_block(host, way):
    with library(host, "http-host-block", way, names="example.com"), \
            HttpServer(host.far, FAR, 80) as http:
        with host.capture() as cap:
            assert curl(host, "www.example.com", 80)[0] == 56  # reset
            assert_refused(host, cap, 80, b"www.example.com")
        assert curl(host, "good.test", 80) == (0, "hello\n")
        assert len(http.requests) == 1
        assert b"good.test" in http.requests[0]


@both_ways
@pytest.mark.parametrize("cut", [1, 20, 27, 40])
def test_http_host_block_in_two_segments(host, way, cut):
    text = b"GET / HTTP/1.1\r\nUser-Agent: x\r\nHost: example.com\r\n\r\n"
    with library(host, "http-host-block", way, names="example.com"), \
            HttpServer(host.far, FAR, 80) as http, host.capture() as cap:
        c = host.tcp((FAR, 80))
        segments(c, text[:cut], text[cut:])
        with pytest.raises(ConnectionResetError):
            c.recv(100)
        c.close()
        assert_refused(host, cap, 80, text[cut:])
        assert cap.with_bytes(text[:cut]), "the first one was let pass"
    assert http.requests == []


class TlsServer(Server):
    """Says hello over TLS; remembers the names that it was asked for."""

    def __init__(self, ns, addr, port, cert):
        self.names = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert)
        self.context.sni_callback = \
            lambda sock, name, ctx: self.names.append(name)
        super().__init__(ns, addr, port)

    def connection(self, c):
        with contextlib.suppress(ssl.SSLError), \
                self.context.wrap_socket(c, server_side=True) as s:
            s.recv(4096)
            s.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")


@pytest.fixture
def tls(host):
    cert = os.path.join(host.tmp, "cert.pem")
    host.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
              "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=test",
              "-keyout", cert, "-out", cert + ".crt"])
    with open(cert + ".crt") as f, open(cert, "a") as out:
        out.write(f.read())
    with TlsServer(host.far, FAR, 443, cert) as server:
        yield server


def client_hello(name):
    """What OpenSSL says first."""
    context = ssl.create_default_context()
    out = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


@both_ways
def test_sni_block(host, tls, way):
    with library(host, "sni-block", way, names="example.com"):
        with host.capture() as cap:
            assert curl(host, "www.example.com", 443)[0] == 35  # TLS failed
            assert_refused(host, cap, 443, b"www.example.com")
        r = host.run(["openssl", "s_client", "-connect", FAR + ":443",
                      "-servername", "example.com"], check=False)
        assert r.returncode != 0 and "BEGIN CERT" not in r.stdout, r.stdout
        assert curl(host, "good.test", 443) == (0, "hello\n")
        assert tls.names == ["good.test"]


@both_ways
@pytest.mark.parametrize("cut", [1, 5, 100, -1])
def test_sni_block_in_two_segments(host, tls, way, cut):
    hello = client_hello("www.example.com")
    with library(host, "sni-block", way, names="example.com"), \
            host.capture() as cap:
        c = host.tcp((FAR, 443))
        segments(c, hello[:cut], hello[cut:])
        with pytest.raises(ConnectionResetError):
            c.recv(100)
        c.close()
        host.settle(cap)
        got = b"".join(bytes(p[TCP].payload) for p in tcp_to(cap, 443))
        assert got == hello[:cut]
        assert len([p for p in tcp_to(cap, 443) if "R" in p[TCP].flags]) == 1
    assert tls.names == []


@both_ways
def test_sni_block_in_two_tls_records(host, tls, way):
    hello = client_hello("www.example.com")[5:]
    at = hello.index(b"example")
    data = b"".join(struct.pack("!BHH", 22, 0x0301, len(part)) + part
                    for part in (hello[:at], hello[at:]))
    with library(host, "sni-block", way, names="example.com"):
        c = host.tcp((FAR, 443))
        c.sendall(data)
        with pytest.raises(ConnectionResetError):
            c.recv(100)
        c.close()
    assert tls.names == []


@both_ways
def test_sni_block_sends_quic_to_tcp(host, way):
    with library(host, "sni-block", way, names="example.com", quic="drop"), \
            host.capture() as cap:
        s = host.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(5)
        s.connect((FAR, 443))
        s.send(b"\xc0 not for the far side")
        with pytest.raises(ConnectionRefusedError):
            s.recv(10)
        s.close()
        host.settle(cap)
        assert not cap.with_bytes(b"not for the far side")


# ---- lists ------------------------------------------------------------------

@both_ways
def test_ip_list(host, way):
    host.far.ip("addr add 198.51.100.8/32 dev lo")
    listed = "198.51.100.0/24,!" + FAR
    with library(host, "ip-list", way, ["--audit"], list=listed,
                 note="office") as s:
        assert host.ping("198.51.100.8") == 1
        assert host.ping(FAR) == 1
        assert host.udp_arrives("198.51.100.8").ttl == 64
        s.wait_out(re.compile(r"198\.51\.100\.8:5999.*office", re.M))
        noted = [l for l in s.stdout.splitlines() if "office" in l]
        assert len(noted) == 2, s.stdout
        assert all("> 198.51.100.8" in l for l in noted), s.stdout
    with library(host, "ip-list", way, list=listed, action="reject"):
        r = host.run(["ping", "-n", "-c", 1, "-W", 5, "198.51.100.8"],
                     check=False)
        assert "Port Unreachable" in r.stdout, r.stdout
        assert host.ping(FAR) == 1


# ---- arrivals ---------------------------------------------------------------

def knock(host, port, kind=socket.SOCK_STREAM):
    """A SYN or a datagram from the far side, nobody waits for an answer."""
    with host.far.socket(socket.AF_INET, kind) as s:
        s.setblocking(False)
        if kind == socket.SOCK_STREAM:
            with contextlib.suppress(BlockingIOError):
                s.connect((NEAR0, port))
        else:
            s.sendto(b"knock", (NEAR0, port))


def arrived(host, ear):
    """All that the far side sent before has been through the rules."""
    nonce = os.urandom(8)
    with host.far.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(nonce, (NEAR0, FENCE))
    wait_for(lambda: ear.with_data(nonce), "the fence arrives")


@both_ways
def test_port_knock(host, way):
    with library(host, "port-knock", way, knock="7000,8000,9000", port=2222) \
            as s, EchoServer(host.near, NEAR0, 2222) as server, \
            UdpServer(host.near, NEAR0, FENCE, echo=False) as ear, \
            host.capture() as cap:
        knock(host, 2222)
        for port in (7000, 9000, 8000):
            knock(host, port)
        knock(host, 2222)
        arrived(host, ear)
        cap.sync()
        # Closed ports tell nothing: neither a RST nor an ICMP error.
        assert not [f for f in cap.frames if f.ip.haslayer(TCP) or
                    f.ip.haslayer(ICMP)]
        assert server.peers == []
        knock(host, 7000)
        knock(host, 8000, socket.SOCK_DGRAM)
        knock(host, 9000)
        s.wait_err("port-knock: open for 10.66.0.2 for 30 s")
        with host.far.socket(socket.AF_INET, socket.SOCK_STREAM) as c:
            c.settimeout(10)
            c.connect((NEAR0, 2222))
            assert echo_once(c)
        # Another address has to knock for itself.
        with host.far.socket(socket.AF_INET, socket.SOCK_STREAM) as c:
            c.setblocking(False)
            c.bind((FAR, 0))
            with contextlib.suppress(BlockingIOError):
                c.connect((NEAR0, 2222))
            arrived(host, ear)
        assert [p[0] for p in server.peers] == ["10.66.0.2"]


# ---- pings ------------------------------------------------------------------

def echoes(cap):
    return [f.ip for f in cap.frames if f.ip.haslayer(ICMP) and
            f.ip[ICMP].type == 8]


@both_ways
def test_ping_forward(host, way):
    with library(host, "ping-forward", way, prefix="192.0.2.0/24", to=FAR) \
            as s, host.capture() as cap:
        r = host.run(["ping", "-n", "-c", 3, "-i", 0.2, "-W", 5, "-e", 4711,
                      "192.0.2.77"])
        assert "3 received" in r.stdout and "DUP" not in r.stdout, r.stdout
        assert "from 192.0.2.77: icmp_seq=3" in r.stdout, r.stdout
        # The same destination without the rule's help.
        assert host.ping(FAR) == 1
        host.settle(cap)
        ours = [p for p in echoes(cap)][:3]
        assert [p.dst for p in ours] == [FAR] * 3
        assert [p[ICMP].seq for p in ours] == [1, 2, 3]
        ids = {p[ICMP].id for p in ours}
        assert len(ids) == 1 and ids != {4711}
        assert_checksums(cap.frames)
    for text in ("forwarded: 3", "answered: 3"):
        assert re.search(r"count %s$" % text, s.stderr, re.M), s.stderr


@both_ways
def test_ping_forward_forgets_what_is_lost(host, way):
    host.far.nft("""table ip quiet {
        chain c {
            type filter hook input priority 0
            ip daddr %s drop
        }
    }""" % FAR)
    s = library(host, "ping-forward", way, prefix="192.0.2.0/24", to=FAR,
                seconds=0.2,
                cmd=["sh", "-c", "ping -n -c 2 -i 0.2 -W 2 192.0.2.77; true"])
    assert re.search(r"count lost: 2$", ends(s), re.M), s.stderr


@both_ways
def test_ping_forward_brings_errors_back(host, way):
    host.far.nft("""table ip stern {
        chain c {
            type filter hook input priority 0
            ip daddr %s icmp type echo-request reject with icmp type host-prohibited
        }
    }""" % GOOGLE)
    with library(host, "ping-forward", way, prefix="192.0.2.0/24", to=GOOGLE):
        r = host.run(["ping", "-n", "-c", 1, "-W", 5, "192.0.2.77"],
                     check=False)
    assert "Destination Host Prohibited" in r.stdout, r.stdout


# ---- probes -----------------------------------------------------------------

@both_ways
def test_syn_probe(host, way):
    with EchoServer(host.far, FAR, 8080), host.capture() as cap:
        with library(host, "syn-probe", way, to=FAR + ":8080",
                     expect="flags=SA,ttl=64,mss=1460",
                     cmd=["sleep", "60"]) as s:
            s.wait_err("sluice: %s:8080: as expected" % FAR)
            assert re.search(r"^sluice: tcp +%s:8080 > %s:\d+ \[SA\]"
                             % (FAR, NEAR0), s.stderr, re.M), s.stderr
            # The second SYN-ACK: what the kernel would answer by a RST.
            back = host.far.run(["sh", "-c", "until nstat -asz "
                                 "TcpExtTCPSynRetrans TcpRetransSegs | grep -q "
                                 "'RetransSegs  *[1-9]'; do sleep 0.1; done"],
                                timeout=20)
            assert back.returncode == 0
            cap.sync()
            got = tcp_to(cap, 8080)
            assert [str(p[TCP].flags) for p in got] == ["S"], got
    assert dict(got[0][TCP].options)["WScale"] == 7


@both_ways
def test_syn_probe_is_polite_where_it_is_told_to(host, way):
    with EchoServer(host.far, FAR, 8080), host.capture() as cap:
        out = ends(library(host, "syn-probe", way, to=FAR + ":8080",
                           close="yes"))
        cap.sync()
        got = tcp_to(cap, 8080)
    assert "as expected" in out
    assert [str(p[TCP].flags) for p in got] == ["S", "R"], got
    assert got[1][TCP].seq == got[0][TCP].seq + 1


def test_syn_probe_tells_what_differs(host):
    with EchoServer(host.far, FAR, 8080):
        out = ends(library(host, "syn-probe", to=FAR + ":8080", close="yes",
                           expect="flags=SA,ttl=1"), 1)
        assert "ttl is 64, not 1" in out
        out = ends(library(host, "syn-probe", to=FAR + ":81"), 1)
        assert "flags is RA, not SA" in out


@both_ways
def test_raw_syn(host, way):
    with EchoServer(host.far, FAR, 8080), host.capture() as cap:
        out = ends(library(
            host, "raw-syn", way, to=FAR + ":8080", data="GET / HTTP/1.0",
            ttl=9, dscp=46, ecn=1, id=4711, df=0, seq=99, window=1234,
            urg_ptr=7, mss=1000, wscale=3, tsval=42, sport=40001))
        cap.sync()
        got = [p for p in tcp_to(cap, 8080) if p[TCP].flags == "S"]
    assert "got tcp" in out and "[SA]" in out, out
    assert "data acknowledged: 0" in out, out
    assert len(got) == 1
    p, t = got[0], got[0][TCP]
    assert (p.src, p.dst, p.ttl, p.tos, p.id, str(p.flags), p.frag) == \
        (NEAR0, FAR, 9, 46 << 2 | 1, 4711, "", 0)
    assert (t.sport, t.dport, t.seq, t.ack, t.window, t.urgptr) == \
        (40001, 8080, 99, 0, 1234, 7)
    assert t.options == [("MSS", 1000), ("SAckOK", b""),
                         ("Timestamp", (42, 0)), ("NOP", None), ("WScale", 3)]
    assert bytes(t.payload) == b"GET / HTTP/1.0"
    assert_checksums(cap.frames)
