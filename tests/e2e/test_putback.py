# SPDX-License-Identifier: GPL-2.0-or-later
"""Putting back: after whatever end, the host is as it was before. (Every
other test ends with the same comparison; here are the ends themselves.)"""
import os
import re
import signal
import socket
import threading
import time

import pytest

from far import EchoServer
from host import DROP_ALL, FAR, FAR1, LOOK, NEAR0, THROUGH, echo_once
from net import snapshot, snapshot_diff, wait_for
from sluice import one_line, rule, sluice

every_way = pytest.mark.parametrize("way", ["route", "wire", "auto"])

BUSY_HOST = """
table ip nat {
    chain post {
        type nat hook postrouting priority srcnat;
        ip saddr 172.31.0.0/24 masquerade
    }
}
table inet filter {
    set s { type ipv4_addr; elements = { 10.9.9.9 } }
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        ip saddr @s accept
        ct state established,related accept
    }
}
"""


def make_busy(host):
    """Rules, routes and settings of the host's own, to be kept."""
    host.near.nft(BUSY_HOST)
    host.near.ip("""
        rule add pref 50 from 172.31.0.0/24 lookup 50
        rule add pref 200 fwmark 0x40000 lookup 51
        route add 10.99.0.0/16 via 10.66.0.2 table 50
        route add unreachable 10.98.0.0/16 metric 5
        addr add 172.31.0.1/32 dev lo
        """)
    host.near.sysctl("net.ipv4.conf.all.rp_filter", 2)
    host.near.sysctl("net.ipv4.conf.up0.log_martians", 1)


def steps():
    """The steps of the set-up, in order, as the source names them."""
    from sluice import ROOT
    with open(os.path.join(ROOT, "src", "capture", "capture.c")) as f:
        text = f.read()
    found = []
    for table in re.findall(r"static const struct step \w+\[\] = \{(.*?)\n\};",
                            text, re.S):
        found += re.findall(r'\{\s*"([\w-]+)"', table)
    assert len(found) >= 8, "the steps are found in capture.c"
    return found


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM,
                                 signal.SIGHUP], ids=lambda s: s.name)
@every_way
@pytest.mark.parametrize("busy", [False, True], ids=["quiet", "busy"])
def test_after_a_signal(host, way, sig, busy):
    if busy:
        make_busy(host)
    s = host.sluice(THROUGH, way=way).start()
    assert host.udp_arrives(FAR)
    s.stop(sig)
    assert host.udp_arrives(FAR).ttl == 64


@every_way
def test_after_the_end_of_the_command(host, way):
    s = host.sluice(THROUGH, way=way, cmd=["ping", "-c", "2", "-i", "0.1",
                                           FAR]).start(ready=False)
    s.wait()
    assert s.returncode == 0
    assert "2 received" in s.stdout
    s.check_after()


@every_way
def test_with_arrivals_too(host, way):
    s = host.sluice('capture { dir = { "out", "in" } }' + THROUGH,
                    way=way).start()
    host.ping(FAR, 1, check=1)
    s.stop()


@pytest.mark.parametrize("way,busy", [
    ("auto", False), ("route", True), ("wire", True)],
    ids=["auto-quiet", "route-busy", "wire-busy"])
@pytest.mark.parametrize("step", steps())
def test_after_a_failure_at_a_step(host, way, step, busy):
    if busy:
        make_busy(host)
    s = host.sluice('capture { dir = { "out", "in" } }' + THROUGH, "--fail-at",
                    step, way=way).start(ready=False)
    assert s.wait() == 1, s.stderr
    assert step in one_line(s.stderr)
    s.check_after()
    assert host.udp_arrives(FAR).ttl == 64


@every_way
@pytest.mark.parametrize("busy", [False, True], ids=["quiet", "busy"])
def test_down_after_kill_9_of_the_supervisor(host, way, busy):
    if busy:
        make_busy(host)
    s = host.sluice('capture { dir = { "out", "in" } }' + DROP_ALL,
                    way=way).start()
    assert host.udp_blocked(FAR)
    s.kill()
    sluice(host, "down", check=0)
    s.assert_put_back()
    # Harmless when there is nothing.
    sluice(host, "down", check=0)
    s.assert_put_back()


@every_way
def test_traffic_flows_within_a_second_after_kill_9_of_the_supervisor(
        host, way):
    s = host.sluice(DROP_ALL, way=way).start()
    assert host.udp_blocked(FAR)
    assert host.udp_blocked(FAR, dev="up0")
    s.kill()
    start = time.monotonic()
    while not (host.udp_arrives(FAR, timeout=0.05) and
               host.udp_arrives(FAR, timeout=0.05, dev="up0")):
        assert time.monotonic() - start < 1.5
    assert time.monotonic() - start < 1.0
    host.ping(FAR, 2, check=2)
    host.ping(FAR1, 2, check=2)
    sluice(host, "down", check=0)
    s.assert_put_back()


@every_way
def test_no_process_is_left_after_kill_9_of_the_supervisor(host, way):
    s = host.sluice(LOOK, "--workers", 2, way=way).start()
    workers = s.workers()
    assert len(workers) == 2
    s.kill()
    wait_for(lambda: not [p for p in workers if os.path.exists("/proc/%d" % p)
                          and " Z " not in open("/proc/%d/stat" % p).read()],
             "the workers end with their supervisor", 3)
    sluice(host, "down", check=0)


@every_way
def test_a_second_start_after_kill_9_works(host, way):
    """What a killed instance left does not stop the next one for good: it
    either starts or says in one line what to do, which then helps."""
    s = host.sluice(LOOK, way=way).start()
    before = s.before
    s.kill()
    again = host.sluice(THROUGH, way=way).start(ready=False)
    wait_for(lambda: again.returncode is not None or
             "sluice: capturing" in again.stderr, "it starts or ends")
    if again.returncode is not None:
        assert "sluice down" in one_line(again.stderr)
        sluice(host, "down", check=0)
        again = host.sluice(THROUGH, way=way).start()
    assert host.udp_through(FAR)
    again.same_after = False
    again.stop()
    sluice(host, "down", check=0)
    wait_for(lambda: not snapshot_diff(before, snapshot(host.near)),
             lambda: "as before: " + snapshot_diff(before,
                                                   snapshot(host.near)), 3)


@every_way
def test_down_leaves_a_running_instance_alone_or_says_so(host, way):
    """down is for what a killed instance left."""
    with host.sluice(THROUGH, way=way):
        sluice(host, "down")
        assert host.udp_through(FAR)


def transfer(host, c, work):
    """Echoes over c in a thread while work() runs; must not fail."""
    stop, rounds, trouble = [], [0], []

    def run():
        try:
            while not stop:
                echo_once(c, os.urandom(30000))
                rounds[0] += 1
        except (OSError, AssertionError) as e:
            trouble.append(e)
    t = threading.Thread(target=run)
    t.start()
    try:
        wait_for(lambda: rounds[0] > 3, "the transfer runs")
        work()
        now = rounds[0]
        wait_for(lambda: rounds[0] > now + 5 or trouble,
                 "the transfer goes on", 20)
    finally:
        stop.append(1)
        t.join(30)
        c.close()
    assert not trouble, trouble


@every_way
def test_an_open_tcp_transfer_outlives_kill_9_of_the_supervisor(host, way):
    s = host.sluice(THROUGH, way=way).start()
    with EchoServer(host.far, FAR, 80):
        transfer(host, host.tcp((FAR, 80), timeout=20), s.kill)
    sluice(host, "down", check=0)
    s.assert_put_back()


@every_way
def test_an_open_tcp_transfer_outlives_kill_9_of_the_worker(host, way):
    with host.sluice(THROUGH, way=way) as s, EchoServer(host.far, FAR, 80):
        def work():
            for _ in range(3):
                old = s.worker()
                os.kill(old, signal.SIGKILL)
                wait_for(lambda: s.worker() != old, "another worker")
        transfer(host, host.tcp((FAR, 80), timeout=20), work)
        wait_for(lambda: host.udp_arrives(FAR, timeout=1), "datagrams too")
        assert host.udp_through(FAR)
        assert host.udp_through(FAR, dev="up0")
        s.wait_err("another")


@every_way
def test_an_open_tcp_transfer_outlives_the_start_and_the_end(host, way):
    with EchoServer(host.far, FAR, 80):
        def work():
            with host.sluice(THROUGH, way=way):
                assert host.udp_through(FAR)
        transfer(host, host.tcp((FAR, 80), timeout=20), work)


@every_way
def test_a_worker_stuck_in_a_c_function_is_replaced(host, way):
    """string.find with a pattern that backtracks for minutes: no hook ends
    it, the watchdog does."""
    with host.sluice("""
            rule { name = 'stuck', match = { proto = 'udp', dport = 5000 },
                   action = function(pkt)
                       return pkt.payload:find(('a-'):rep(30) .. 'b') and DROP
                   end }
            """ + THROUGH, way=way) as s:
        old = s.worker()
        host.udp(b"a" * 1000, (FAR, 5000))
        wait_for(lambda: s.worker() != old, "another worker", 20)
        wait_for(lambda: host.udp_arrives(FAR, timeout=1), "traffic flows", 10)
        assert host.udp_through(FAR)
        assert "stuck" in s.stderr


def test_a_silent_worker_is_replaced(host):
    """Stopped outside the rules: nothing burns, and nothing flows."""
    with host.sluice(THROUGH) as s:
        old = s.worker()
        os.kill(old, signal.SIGSTOP)
        wait_for(lambda: s.worker() != old, "another worker", 30)
        wait_for(lambda: host.udp_arrives(FAR, timeout=1), "traffic flows", 10)
        assert s.stderr.count("silent") == 1, s.stderr


@every_way
def test_the_end_while_traffic_flows(host, way):
    stop = []

    def flood():
        s = host.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
        while not stop:
            try:
                s.sendto(b"x" * 500, (FAR, 9))
            except OSError:
                pass
        s.close()
    t = threading.Thread(target=flood)
    t.start()
    try:
        for _ in range(3):
            s = host.sluice(THROUGH, way=way).start()
            s.stop()
    finally:
        stop.append(1)
        t.join()


@every_way
def test_a_second_signal_does_not_hinder_the_first(host, way):
    s = host.sluice(LOOK, way=way).start()
    s.proc.send_signal(signal.SIGINT)
    s.proc.send_signal(signal.SIGTERM)
    s.proc.send_signal(signal.SIGINT)
    s.stop()


@every_way
def test_the_end_before_it_is_up(host, way):
    """A signal at any moment of the start."""
    for delay in (0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3):
        s = host.sluice(LOOK, way=way).start(ready=False)
        time.sleep(delay)
        s.proc.send_signal(signal.SIGTERM)
        s.wait()
        # Before it takes signals at all the default is to die of it.
        assert s.returncode in (0, -signal.SIGTERM), s.stderr
        if s.returncode == 0:
            s.check_after()
        else:
            sluice(host, "down", check=0)
            s.assert_put_back()


@every_way
def test_a_foreign_change_while_it_runs_is_kept(host, way):
    s = host.sluice(LOOK, way=way).start()
    before = s.before
    host.near.ip("rule add pref 60 fwmark 0x40000 lookup 60\n"
                 "route add 10.97.0.0/16 via 10.66.0.2")
    host.near.nft("table ip theirs { chain c { }; }")
    s.same_after = False
    s.stop()
    diff = snapshot_diff(before, snapshot(host.near)).splitlines()
    assert len([d for d in diff if ": + " in d]) >= 3
    assert not [d for d in diff if ": - " in d], diff
    assert not [d for d in diff if "sluice" in d or "tun0" in d], diff
    host.near.ip("rule del pref 60\nroute del 10.97.0.0/16")
    host.run("nft delete table ip theirs")
    assert not snapshot_diff(before, snapshot(host.near))


def test_icmp_echo_library_rule_ends_clean(host, way):
    with host.sluice(rule("icmp-echo"), way=way):
        host.ping("192.0.2.1", 1, check=1)
    assert host.udp_arrives(FAR).peer[0] == NEAR0
