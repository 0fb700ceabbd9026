# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections: what a rule is told of one, and data that changes its length
on the way, with real clients and servers; with and without offload, and on a
network that loses packets."""
import hashlib
import os
import re
import socket
import threading

import pytest

from far import EchoServer, Server, UdpServer
from host import FAR, GOOGLE, NEAR0, Host

BOTH = 'capture { dir = {"out", "in"} }\n'
ways = pytest.mark.parametrize("way", ["route", "wire"])
MIB = 1 << 20


@pytest.fixture(params=["whole", "offload"])
def any_host(request):
    h = Host(offload=request.param == "offload")
    yield h
    h.close()


class Talker(Server):
    """Reads a request up to an empty line, answers with bytes, and closes."""

    def __init__(self, ns, addr, port, answer):
        self.answer, self.requests = answer, []
        super().__init__(ns, addr, port)

    def connection(self, c):
        req = b""
        while b"\r\n\r\n" not in req:
            data = c.recv(4096)
            if not data:
                return
            req += data
        self.requests.append(req)
        c.sendall(self.answer)


def assert_same(got, want):
    if got != want:
        at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b),
                  min(len(got), len(want)))
        raise AssertionError("%d bytes for %d, other from %d on: %r for %r" % (
            len(got), len(want), at, got[at:at + 60], want[at:at + 60]))


def converse(host, data, port=5010, timeout=40):
    """Sends data to an echo server, reads until its end; what came back."""
    c = host.tcp((FAR, port), timeout=timeout)
    got = []

    def read():
        while True:
            part = c.recv(1 << 18)
            if not part:
                return
            got.append(part)
    t = threading.Thread(target=read, daemon=True)
    t.start()
    c.sendall(data)
    c.shutdown(socket.SHUT_WR)
    t.join(timeout)
    assert not t.is_alive(), "the answer ends; %d bytes came" % sum(
        map(len, got))
    c.close()
    return b"".join(got)


# ---- what is known of a connection ------------------------------------------

COUNT = BOTH + """
local flows = {}
rule { name = "look", match = { proto = "udp", dport = 9999 },
       action = function(pkt)
         for name, f in pairs(flows) do log(name, "has", f.packets, f.bytes) end
         return ACCEPT
       end }
rule { name = "count", action = function(pkt)
         flows[tostring(pkt.flow)] = pkt.flow
       end }
"""


def belongs(f):
    if f.ip.proto == 17:
        return 5011 in (f.pkt["UDP"].sport, f.pkt["UDP"].dport)
    return f.ip.proto == 6 or f.pkt["ICMP"].type in (0, 8)


@ways
def test_a_flow_counts_what_a_sniffer_sees(host, way):
    with host.sluice(COUNT, way=way) as s, EchoServer(host.far, FAR, 5010), \
            UdpServer(host.far, FAR, 5011) as udp, \
            host.capture(direction="inout") as cap:
        assert converse(host, b"x" * 20000) == b"x" * 20000
        c = host.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
        c.settimeout(5)
        c.connect((FAR, 5011))
        for n in range(5):
            c.send(b"y" * n * 100)
            c.recv(1000)
        c.close()
        host.ping(FAR, 4, check=4)
        # The last ACK of the connection as well.
        cap.wait(lambda fs: len([f for f in fs if f.ip.proto == 6 and
                                 f.pkt["TCP"].flags & 1]) >= 2,
                 "both ends close")
        host.settle(cap, 5012)
        host.udp(b"say", (FAR, 9999))
        cap.sync()
        for name, proto, port in (("tcp", 6, 5010), ("udp", 17, 5011),
                                  ("icmp", 1, r"\d+")):
            seen = [f for f in cap.frames if f.ip.proto == proto and
                    FAR in (f.ip.src, f.ip.dst) and belongs(f)]
            m = s.wait_err(re.compile(
                r"flow %s %s:\d+ <> %s:%s has (\d+) (\d+)$" % (
                    name, NEAR0, FAR, port), re.M))
            assert int(m.group(1)) == len(seen), (name, m.group(0))
            assert int(m.group(2)) == sum(f.ip.len for f in seen)
        assert udp.got


@ways
def test_a_bypassed_flow_goes_past_the_rules(host, way):
    with host.sluice(BOTH + """
            rule { name = "r", match = { proto = "tcp" }, action =
              function(pkt)
                count("seen")
                if pkt.payload:find("enough") then pkt.flow:bypass() end
                if pkt.payload:find("secret") then return DROP end
              end }""", way=way), EchoServer(host.far, FAR, 5010):
        c = host.tcp((FAR, 5010))
        c.sendall(b"enough")
        assert c.recv(100) == b"enough"
        c.sendall(b"secret")
        assert c.recv(100) == b"secret"
        c.close()


@ways
def test_a_dropped_flow_is_silent_and_others_are_not(host, way):
    with host.sluice("""
            rule { name = "r", match = { proto = "tcp" }, action =
              function(pkt)
                if pkt.payload:find("stop") then
                  pkt.flow:drop() return DROP
                end
              end }""", way=way), EchoServer(host.far, FAR, 5010):
        a, b = host.tcp((FAR, 5010)), host.tcp((FAR, 5010))
        a.sendall(b"stop")
        a.settimeout(1)
        with pytest.raises(socket.timeout):
            a.recv(100)
        a.sendall(b"hello")
        with pytest.raises(socket.timeout):
            a.recv(100)
        b.sendall(b"hello")
        assert b.recv(100) == b"hello"
        a.close()
        b.close()


# ---- another length ---------------------------------------------------------

HTTP = BOTH + """
rule { name = "request", match = { proto = "tcp", dir = "out", dport = 80 },
       action = function(pkt)
         pkt:replace("Host: [^\\r]*", "Host: %s")
       end }
rule { name = "answer", match = { proto = "tcp", dir = "in", sport = 80 },
       action = function(pkt)
         pkt:replace("NEEDLE", "%s")
       end }
"""


@ways
@pytest.mark.parametrize("name,word", [
    ("a-much-longer-name.example.org", "a needle in a haystack"),
    ("x", "N"), ("x" * 2500, "z" * 3000)], ids=["longer", "shorter", "huge"])
def test_http_header_and_body(any_host, way, name, word):
    host = any_host
    data = os.urandom(4 * MIB).replace(b"NEEDLE", b"needle")
    answer = b"HTTP/1.0 200 OK\r\nX-Word: NEEDLE\r\n\r\nNEEDLE\n" + data
    out = os.path.join(host.tmp, "got")
    with host.sluice(HTTP % (name, word), way=way) as s, \
            Talker(host.far, FAR, 80, answer) as server:
        for url in ("http://%s/first" % FAR, "http://%s/second" % FAR):
            r = host.run(["curl", "-sS", "-m", 30, "-D", out + ".head", "-o",
                          out, url], check=False, timeout=40)
            assert r.returncode == 0, r.stderr + s.stderr
            with open(out, "rb") as f:
                assert_same(f.read(), word.encode() + b"\n" + data)
            with open(out + ".head") as f:
                assert "X-Word: " + word in f.read()
        assert len(server.requests) == 2
        for req in server.requests:
            assert b"\r\nHost: " + name.encode() + b"\r\n" in req
        assert not re.search(r"rule\d+\.lua:\d+", s.stderr), s.stderr


# Words of a stream, wherever segments end: what may be the beginning of one is
# held back until more comes.
STREAM = BOTH + """
local function replacer(word, by)
  local held = ""
  return function(bytes)
    local text = (held .. bytes):gsub(word, by)
    held = ""
    for n = #word - 1, 1, -1 do
      if text:sub(-n) == word:sub(1, n) then
        held, text = text:sub(-n), text:sub(1, -n - 1)
        break
      end
    end
    return text
  end
end
rule { name = "stream", match = { proto = "tcp", dport = 5010,
                                  tcp_flags = "S/SA" },
       action = function(pkt)
         pkt.flow:stream("out", replacer("cat", "elephant"))
         pkt.flow:stream("in", replacer("elephant", "ox"))
       end }
"""


def animals(n):
    out, total, i = [], 0, 0
    while total < n:
        line = b"%d a cat, %s and a catcat\n" % (i, b"#" * (i * 7 % 61))
        out.append(line)
        total += len(line)
        i += 1
    return b"".join(out)


@ways
def test_both_directions_through_functions(any_host, way):
    data = animals(2 * MIB)
    with any_host.sluice(STREAM, way=way) as s, \
            EchoServer(any_host.far, FAR, 5010):
        assert_same(converse(any_host, data), data.replace(b"cat", b"ox"))
        assert "flow:stream" not in s.stderr


@ways
def test_several_workers_share_connections_not_packets(any_host, way):
    data = animals(128 << 10)
    with any_host.sluice(STREAM, "--workers", 3, way=way), \
            EchoServer(any_host.far, FAR, 5010):
        for _ in range(6):
            assert_same(converse(any_host, data), data.replace(b"cat", b"ox"))


@ways
@pytest.mark.slow(180)
@pytest.mark.parametrize("kind", ["stream", "rule"])
def test_a_network_that_loses_packets(any_host, way, kind):
    """Whatever is sent again becomes what it became before."""
    host = any_host
    host.far.run(["nft", "-f", "-"], input="""
        table ip lossy {
          chain arrive { type filter hook prerouting priority 0;
            tcp dport 5010 numgen random mod 40 0 drop; }
          chain leave { type filter hook output priority 0;
            tcp sport 5010 numgen random mod 40 0 drop; }
        }""")
    if kind == "stream":
        rules, data = STREAM, animals(256 << 10)
    else:
        # Only at the beginning, which every piece of the data has whole.
        rules = BOTH + """
            rule { match = { proto = "tcp", dport = 5010 },
                   action = function(pkt) pkt:replace("^FIRST", "1") end }
            rule { match = { proto = "tcp", sport = 5010 },
                   action = function(pkt) pkt:replace("^1", "the first") end }
            """
        data = b"FIRST" + b"-" * (512 << 10) + b"end"
    want = data.replace(b"cat", b"ox").replace(b"FIRST", b"the first")
    with host.sluice(rules, way=way), EchoServer(host.far, FAR, 5010):
        assert_same(converse(host, data, timeout=120), want)


@ways
def test_a_redirected_connection_is_one_flow(host, way):
    """The answers come from elsewhere; the numbers are right all the same."""
    with host.sluice(BOTH + """
            rule { match = { proto = "tcp", dir = "out", dst = "%s" },
                   action = function(pkt)
                     pkt:replace("cat", "elephant")
                     pkt.flow.data.out = true
                     pkt.dst, pkt.dport = "%s", 5011
                   end }
            rule { match = { proto = "tcp", dir = "in", src = "%s" },
                   action = function(pkt)
                     if not pkt.flow.data.out then return DROP end
                     pkt:replace("elephant", "ox")
                     pkt.src, pkt.sport = "%s", 5010
                   end }""" % (GOOGLE, FAR, FAR, GOOGLE), way=way), \
            EchoServer(host.far, FAR, 5011):
        c = host.tcp((GOOGLE, 5010))
        for n in range(20):
            c.sendall(b"a cat %d\n" % n)
            want, got = b"a ox %d\n" % n, b""
            while len(got) < len(want):
                got += c.recv(1000)
            assert got == want
        c.close()


def test_without_the_answers_the_error_says_what_to_add(host):
    with host.sluice("""
            rule { name = "r", match = { proto = "tcp", dport = 5010 },
                   action = function(pkt) pkt:replace("a", "bb") end }""") \
            as s, EchoServer(host.far, FAR, 5010):
        assert converse(host, b"banana") == b"banana"
        m = s.wait_err(re.compile(r"^.*answers as well.*$", re.M)).group(0)
        assert 'add capture { dir = {"out", "in"} }' in m and "rule r" in m
