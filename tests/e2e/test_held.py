# SPDX-License-Identifier: GPL-2.0-or-later
"""flow:bypass() and flow:drop(): the kernel decides about the connection from
then on, and its packets come to no worker."""
import contextlib
import json
import os
import re
import signal
import socket
import threading

import pytest

from far import EchoServer, SinkServer, UdpServer
from host import FAR, NEAR0, echo_once
from net import wait_for
from test_sets import stopped

BOTH = 'capture { dir = {"out", "in"} }\n'

# Port 5010: let by; 5020: dropped as soon as something is said. UDP port 7002
# says how many packets the rules have seen.
DECIDE = """
local seen = 0
rule { name = "say", match = { proto = "udp", dport = 7002 },
       action = function(pkt) log("seen", seen) return ACCEPT end }
rule { name = "bypass", match = { dport = 5010 },
       action = function(pkt) seen = seen + 1 pkt.flow:bypass() end }
rule { name = "answers", match = { sport = 5010 },
       action = function(pkt) seen = seen + 1 end }
rule { name = "drop", match = { dport = 5020 },
       action = function(pkt)
         seen = seen + 1
         if pkt.payload ~= "" then pkt.flow:drop() end
       end }
"""


def seen(host, s):
    """How many packets the functions have seen."""
    lines = len(re.findall(r"seen \d+", s.stderr))
    host.udp(b"say", (FAR, 7002))
    wait_for(lambda: len(re.findall(r"seen \d+", s.stderr)) > lines,
             "the rules say what they saw")
    return int(re.findall(r"seen (\d+)", s.stderr)[-1])


def members(host, name="bypassed", family="netdev"):
    """Directions of connections that the kernel holds, alive ones."""
    r = host.run(["nft", "-j", "list", "set", family, "sluice", name])
    found = [x["set"] for x in json.loads(r.stdout)["nftables"] if "set" in x]
    return [e["elem"]["val"]["concat"] for e in found[0].get("elem", [])
            if e["elem"].get("expires", 1) > 0]


def held(host, count, name="bypassed"):
    wait_for(lambda: len(members(host, name)) == count,
             lambda: "the kernel holds %d directions: %s" % (
                 count, members(host, name)))


@pytest.fixture(params=["out", "both"])
def dirs(request):
    return BOTH if request.param == "both" else ""


def test_a_bypassed_connection_needs_no_worker(host, way, dirs):
    with host.sluice(dirs + DECIDE, way=way) as s, \
            EchoServer(host.far, FAR, 5010):
        c = host.tcp((FAR, 5010))
        echo_once(c, b"hello")
        echo_once(c, b"again")
        held(host, 2)
        with stopped(s):
            for _ in range(20):
                echo_once(c)
        c.close()
        # Its end comes to the worker, who takes it out again.
        held(host, 0)


def test_what_is_let_by_is_not_seen_by_rules(host, way, dirs):
    with host.sluice(dirs + DECIDE, way=way) as s, \
            SinkServer(host.far, FAR, 5010) as sink:
        c = host.tcp((FAR, 5010))
        c.sendall(b"x" * 100)
        wait_for(lambda: members(host), "the kernel holds it")
        count = seen(host, s)
        c.sendall(b"y" * (8 << 20))
        assert seen(host, s) == count
        c.shutdown(socket.SHUT_WR)
        c.recv(1)
        c.close()
        held(host, 0)
    # Packets that the worker had: those around the beginning and the end.
    done = int(re.search(r"done: (\d+) packets", s.stderr).group(1))
    assert done < 60, s.stderr


def test_a_new_connection_between_the_same_ports_is_seen(host, way, dirs):
    """After an orderly end, and after a reset."""
    rules = dirs + """
        rule { name = "syn", match = { proto = "tcp", dport = 5010,
                                       tcp_flags = "S/SA" },
               action = function(pkt) log("begins", pkt.sport) end }
        """ + DECIDE
    with host.sluice(rules, way=way) as s, EchoServer(host.far, FAR, 5010):
        for turn in range(3):
            c = host.near.socket(socket.AF_INET, socket.SOCK_STREAM)
            c.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            c.settimeout(10)
            c.bind((NEAR0, 40123))
            c.connect((FAR, 5010))
            echo_once(c)
            echo_once(c)
            held(host, 2)
            if turn == 1:
                # Whose end comes first waits for the other's packets to be
                # lost, and the port with it: here that is the server.
                host.far.run(["ss", "-K", "sport", "= 5010"], check=False)
                with contextlib.suppress(OSError):
                    c.recv(1)
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                         b"\1\0\0\0\0\0\0\0")
            c.close()
            # What the other side resets is not seen if only one is captured.
            if dirs or turn != 1:
                held(host, 0)
            wait_for(lambda: s.stderr.count("begins 40123") == turn + 1,
                     lambda: "its SYN is seen:\n" + s.stderr)


def test_a_dropped_connection_is_dropped_by_the_kernel(host, way):
    with host.sluice(BOTH + DECIDE, way=way) as s, \
            SinkServer(host.far, FAR, 5020) as sink, \
            host.capture() as cap:
        c = host.tcp((FAR, 5020))
        c.sendall(b"first")  # which the rule still lets by
        cap.wait(lambda fs: [f for f in fs if b"first" in f.raw],
                 "the first bytes arrive")
        c.sendall(b"second")
        held(host, 2, "dropped")
        with stopped(s):
            c.sendall(b"third")
            host.settle(cap)
            assert not cap.with_bytes(b"third")
            assert not cap.with_bytes(b"second")
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                     b"\1\0\0\0\0\0\0\0")
        c.close()
        held(host, 0, "dropped")


def test_udp_is_held_too(host, way):
    with host.sluice(BOTH + DECIDE, way=way) as s, \
            UdpServer(host.far, FAR, 5010) as ear:
        c = host.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
        c.settimeout(10)
        c.connect((FAR, 5010))
        for _ in range(3):
            c.send(b"one")
            c.recv(100)
        held(host, 2)
        count = seen(host, s)
        with stopped(s):
            for _ in range(20):
                c.send(b"two")
                assert c.recv(100) == b"two"
        assert seen(host, s) == count
        # A fragment belongs to no connection that ports name.
        c.send(b"z" * 4000)
        assert c.recv(5000) == b"z" * 4000
        c.close()


def test_a_worker_that_dies_leaves_no_connection_behind(host, way):
    """Nobody would hear of their end."""
    with host.sluice(BOTH + DECIDE, way=way) as s, \
            EchoServer(host.far, FAR, 5010):
        c = host.tcp((FAR, 5010))
        echo_once(c)
        echo_once(c)
        held(host, 2)
        old = s.worker()
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: s.worker() != old, "there is another worker")
        # Which gets to see it, and so its end.
        echo_once(c)
        echo_once(c)
        held(host, 2)
        c.close()
        held(host, 0)


def test_other_workers_hold_theirs_again(host, way):
    with host.sluice(BOTH + DECIDE, "--workers", 3, way=way) as s, \
            EchoServer(host.far, FAR, 5010):
        conns = [host.tcp((FAR, 5010)) for _ in range(12)]
        for _ in range(2):
            for c in conns:
                echo_once(c)
        held(host, 24)
        os.kill(s.workers()[0], signal.SIGKILL)
        wait_for(lambda: [echo_once(c, b"x") for c in conns] and
                 len(members(host)) == 24, "all are held again", 20, 0.5)
        for c in conns:
            c.close()
        held(host, 0)


def test_many_connections_at_once(host, way):
    rules = DECIDE
    with host.sluice(BOTH + rules, way=way) as s, \
            EchoServer(host.far, FAR, 5010):
        def several():
            for _ in range(40):
                c = host.tcp((FAR, 5010))
                echo_once(c, b"hello")
                echo_once(c, b"hello")
                c.close()
        threads = [threading.Thread(target=several) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
            assert not t.is_alive()
        held(host, 0)
    assert "lost" not in s.stderr and "connections that" not in s.stderr


def test_nothing_is_left_after_kill_9(host, way):
    with EchoServer(host.far, FAR, 5010):
        s = host.sluice(BOTH + DECIDE, way=way).start()
        try:
            c = host.tcp((FAR, 5010))
            echo_once(c)
            echo_once(c)
            held(host, 2)
            s.kill()
            echo_once(c)
            c.close()
            assert "sluice" not in host.run(["nft", "list", "ruleset"]).stdout
        finally:
            s.abandon()
        s.assert_put_back()


def test_a_stream_is_never_held(host, way):
    rules = BOTH + """
        rule { match = { dport = 5010 }, action = function(pkt)
                 pkt.flow:bypass()
                 pkt.flow:stream("out", function(text)
                   return (text:gsub("cat", "lion")) end)
               end }
        """
    with host.sluice(rules, way=way) as s, EchoServer(host.far, FAR, 5010):
        c = host.tcp((FAR, 5010))
        for _ in range(3):
            c.sendall(b"a cat")
            assert c.recv(100) == b"a lion"
        assert members(host) == []
        c.close()


def test_the_audit_shows_every_packet(host, way):
    with host.sluice(BOTH + DECIDE, "--audit", way=way) as s, \
            EchoServer(host.far, FAR, 5010):
        c = host.tcp((FAR, 5010))
        for i in range(5):
            echo_once(c, b"x" * (50 + i))
        c.close()
        wait_for(lambda: s.stdout.count(".5010") + s.stdout.count(":5010")
                 >= 15, lambda: "all are shown:\n" + s.stdout)
