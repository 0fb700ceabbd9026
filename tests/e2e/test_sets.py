# SPDX-License-Identifier: GPL-2.0-or-later
"""Sets that rules change while packets are captured: what the kernel holds of
them decides, so it is asked while the worker is stopped."""
import contextlib
import json
import os
import re
import signal
import socket

from far import UdpServer
from host import FAR, FAR1, GOOGLE, NEAR0, PROBE, dropped_in_the_kernel
from net import wait_for

# UDP to port 7001 says what is to be done with a set; what is in it is
# dropped, in the kernel for port 5999, by a function for port 5998.
CONTROL = """
local bad = set{ "203.0.113.7" }
rule { name = "control", match = { proto = "udp", dport = 7001 },
       action = function(pkt)
         local what, who, seconds = pkt.payload:match("(%S+) (%S+) ?(%S*)")
         if what == "add" then
           if seconds ~= "" then bad:add(who, tonumber(seconds))
           else bad:add(who) end
         elseif what == "remove" then bad:remove(who)
         elseif what == "many" then
           local n = tonumber(who)
           for i = n, n + 4999 do
             bad:add(("10.%d.%d.%d"):format(i >> 15, i >> 7 & 255,
                                            i << 1 & 255))
           end
         end
         return DROP
       end }
rule { name = "block", match = { proto = "udp", dport = 5999, dst = bad },
       action = DROP }
rule { name = "function", match = { proto = "udp", dport = 5998, dst = bad },
       action = function() return DROP end }
"""


@contextlib.contextmanager
def stopped(s):
    """While no worker runs: it is the kernel that decides."""
    workers = s.workers()
    assert workers
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def say(host, text, **kw):
    host.udp(text.encode(), (FAR, 7001), **kw)


def elements(host, family="netdev", name="set-0"):
    """How many ranges the kernel holds."""
    r = host.run(["nft", "-j", "list", "set", family, "sluice", name])
    found = [x["set"] for x in json.loads(r.stdout)["nftables"] if "set" in x]
    return len(found[0].get("elem", []))


def becomes_blocked(host, dst):
    wait_for(lambda: host.udp_blocked(dst), dst + " is dropped")


def becomes_free(host, dst, timeout=10):
    wait_for(lambda: not host.udp_blocked(dst), dst + " passes", timeout)


def test_the_kernel_drops_what_a_rule_adds_and_lets_by_what_it_removes(
        host, way):
    with host.sluice(CONTROL, way=way) as s:
        with stopped(s):
            assert not host.udp_blocked(FAR)
        say(host, "add " + FAR)
        becomes_blocked(host, FAR)
        with stopped(s):
            assert host.udp_blocked(FAR)
            assert not host.udp_blocked(GOOGLE)
        say(host, "remove " + FAR)
        becomes_free(host, FAR)
        with stopped(s):
            assert not host.udp_blocked(FAR)
    assert re.search(r"rule block: [1-9]", s.stderr), s.stderr


def test_exclusions_hold_in_the_kernel(host, way):
    with host.sluice(CONTROL, way=way) as s:
        say(host, "add 0.0.0.0/0")
        becomes_blocked(host, GOOGLE)
        say(host, "add !198.51.100.0/24")
        becomes_free(host, FAR)
        with stopped(s):
            assert host.udp_blocked(GOOGLE)
            assert host.udp_blocked(FAR1)
            assert not host.udp_blocked(FAR)
        say(host, "add " + FAR)
        becomes_blocked(host, FAR)
        say(host, "remove " + FAR)
        becomes_free(host, FAR)
        assert host.udp_blocked(GOOGLE)


def test_members_expire_in_the_kernel(host, way):
    with host.sluice(CONTROL, way=way) as s:
        say(host, "add %s 3" % FAR)
        becomes_blocked(host, FAR)
        with stopped(s):
            becomes_free(host, FAR, 8)
        # Added again and again it stays.
        for _ in range(5):
            say(host, "add %s 2" % GOOGLE)
            becomes_blocked(host, GOOGLE)
        becomes_free(host, GOOGLE)


def test_arrivals_are_dropped_by_a_set(host, way):
    rules = 'capture { dir = {"in"} }\n' + CONTROL.replace(
        "dport = 5999, dst", "dport = 5999, src")
    with host.sluice(rules, way=way) as s, \
            UdpServer(host.near, NEAR0, PROBE, echo=False) as ear, \
            UdpServer(host.near, NEAR0, PROBE + 1, echo=False) as fence:
        def passes():
            nonce = os.urandom(16)
            with host.far.socket(socket.AF_INET, socket.SOCK_DGRAM) as c:
                c.bind((FAR, 0))
                for port in (PROBE, PROBE + 1):
                    c.sendto(nonce, (NEAR0, port))
            wait_for(lambda: fence.with_data(nonce), "the fence arrives")
            ear.sync()
            return bool(ear.with_data(nonce))
        with stopped(s):
            assert passes()
        say(host, "add " + FAR)
        wait_for(lambda: not passes(), "arrivals from there are dropped")
        with stopped(s):
            assert not passes()
        say(host, "remove " + FAR)
        wait_for(passes, "arrivals from there pass again")


def test_many_members_at_once(host, way):
    with host.sluice(CONTROL, way=way) as s:
        for i in range(6):
            say(host, "many %d" % (i * 5000))
        wait_for(lambda: elements(host) == 30001, lambda: "all are held: %d"
                 % elements(host), 30, 0.3)
        assert elements(host, "ip") == 30001
        say(host, "add " + FAR)
        becomes_blocked(host, FAR)
        with stopped(s):
            assert host.udp_blocked(FAR)
    assert "out of date" not in s.stderr and "lost" not in s.stderr


def blocked_by_function(host, ear, sport):
    """Whether the worker that has this port drops it."""
    nonce = os.urandom(16)
    with dropped_in_the_kernel():
        host.udp(nonce, (FAR, 5998), src=("0.0.0.0", sport))
    host.udp(nonce, (FAR, 5997), src=("0.0.0.0", sport))
    wait_for(lambda: ear[1].with_data(nonce), "the fence arrives")
    ear[0].sync()
    return not ear[0].with_data(nonce)


def test_workers_share_what_a_rule_does(host, way):
    """Which worker has a packet is the kernel's choice, by its ports."""
    rules = CONTROL + """
        rule { match = { proto = "udp", dport = 5997 },
               action = function() return ACCEPT end }"""
    with host.sluice(rules, "--workers", 3, way=way) as s, \
            UdpServer(host.far, FAR, 5998, echo=False) as a, \
            UdpServer(host.far, FAR, 5997, echo=False) as b:
        ports = range(30000, 30024)
        assert not any(blocked_by_function(host, (a, b), p) for p in ports)
        say(host, "add " + FAR)
        wait_for(lambda: all(blocked_by_function(host, (a, b), p)
                             for p in ports), "every worker has it")
        # New ones begin with it.
        old = s.workers()
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: len(set(s.workers()) - set(old)) == 3,
                 "there are new workers")
        assert all(blocked_by_function(host, (a, b), p) for p in ports)
        say(host, "remove " + FAR)
        wait_for(lambda: not any(blocked_by_function(host, (a, b), p)
                                 for p in ports), "every worker lost it")
