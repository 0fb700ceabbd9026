# SPDX-License-Identifier: GPL-2.0-or-later
"""Time in rules, and what tasks send by themselves: the answer is the task's
and the kernel has no part in it."""
import os
import re
import signal
import socket
import time

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.utils import rdpcap

from far import EchoServer, UdpServer
from host import FAR, FAR1, GW0, NEAR0, echo_once
from net import wait_for
from sluice import assert_no_sanitizer_report, sluice

both_ways = pytest.mark.parametrize("way", ["route", "wire"])

SAY = """
local function say(name, a, why)
  log(name .. ":", a and tostring(a) or "nil", why or "-")
end
"""


def task(body):
    return SAY + "task(function()\n%s\nend)\n" % body


def said(s, name):
    """What the rule said, "NAME: TEXT"."""
    m = re.findall(r"^sluice: %s: (.*)$" % name, s.stderr, re.M)
    assert len(m) == 1, s.stderr
    return m[0].strip()


def ends(s, status=0, timeout=30):
    """It ends by itself, and all is as before."""
    s.wait(timeout)
    s.check_after()
    assert s.returncode == status, s.stderr
    return s


def run(host, text, *options, way=None, status=0, **kw):
    s = host.sluice(text, *options, way=way, **kw)
    try:
        return ends(s.start(ready=False), status)
    finally:
        s.kill()


def tcp_of(cap, port):
    return [f.ip for f in cap.frames
            if f.ip is not None and f.ip.haslayer(TCP) and
            f.ip[TCP].dport == port]


# ---- probes -----------------------------------------------------------------

@both_ways
def test_a_syn_is_answered_and_the_kernel_sends_no_rst(host, way):
    text = task("""
        say("answer", sr1(packet{ dst = "%s", tcp = { dport = 8080,
                                  mss = 1400, wscale = 7 } }))
        sleep(30)""" % FAR)
    with EchoServer(host.far, FAR, 8080), host.capture() as cap, \
            host.sluice(text, way=way) as s:
        s.wait_err("sluice: answer:")
        # Long enough for the other side to repeat its SYN-ACK.
        time.sleep(1.5)
        cap.sync()
        got = tcp_of(cap, 8080)
    assert re.match(r"tcp  %s:8080 > %s:\d+ \[SA\] len \d+ -$" % (FAR, NEAR0),
                    said(s, "answer")), s.stderr
    # The SYN as it was written, and nothing else.
    assert [p[TCP].flags for p in got] == ["S"], got
    assert ("MSS", 1400) in got[0][TCP].options
    assert ("WScale", 7) in got[0][TCP].options


@both_ways
def test_a_closed_port_answers_rst(host, way):
    text = task('say("answer", sr1(packet{ dst = "%s", tcp = { dport = 81 } '
                '}))' % FAR)
    s = run(host, text, way=way)
    assert "[RA]" in said(s, "answer")


@both_ways
def test_echo_and_port_unreachable(host, way):
    text = task("""
        say("echo", sr1(packet{ dst = "%s", icmp = { type = 8, seq = 7 },
                                payload = "hello" }))
        local a = sr1(packet{ dst = "%s", udp = { dport = 9 },
                              payload = "x" })
        say("udp", a)
        say("quoted", a and a.icmp.inner)""" % (FAR, FAR))
    with host.capture() as cap:
        s = run(host, text, way=way)
        cap.sync()
    assert "echo reply" in said(s, "echo") and "seq 7" in said(s, "echo")
    assert "port-unreachable" in said(s, "udp")
    assert "%s:9" % FAR in said(s, "quoted")
    # Each was sent once, and nothing else was.
    assert len([f for f in cap.frames if f.ip.haslayer(ICMP)]) == 1
    assert len([f for f in cap.frames if f.ip.haslayer(UDP)]) == 1


@both_ways
def test_an_answer_of_udp(host, way):
    text = task('local a = sr1(packet{ dst = "%s", udp = { dport = 5300 }, '
                'payload = "ping" })\n'
                'say("answer", a) say("text", a.payload)' % FAR)
    with UdpServer(host.far, FAR, 5300):
        s = run(host, text, way=way)
    assert said(s, "text").startswith("ping")


@both_ways
def test_no_answer_is_nil_in_time(host, way):
    host.far.nft("""table ip quiet {
        chain c {
            type filter hook input priority 0
            udp dport 9 drop
        }
    }""")
    text = task('local t = os.time() say("answer", sr1(packet{ dst = "%s", '
                'udp = { dport = 9 } }, 1)) say("seconds", os.time() - t)'
                % FAR)
    s = run(host, text, way=way)
    assert said(s, "answer") == "nil -"
    assert 1 <= int(said(s, "seconds").split()[0]) < 10


@both_ways
def test_the_second_uplink_and_its_own_source(host, way):
    text = task('say("answer", sr1(packet{ dst = "%s", tcp = { dport = 81 } '
                '}))' % FAR1)
    s = run(host, text, way=way)
    assert "10.67.0.1" in said(s, "answer")


@both_ways
def test_a_connection_by_hand(host, way):
    text = task("""
        local p = packet{ dst = "%s", tcp = { sport = 41000, dport = 8080 } }
        local a = sr1(p)
        say("first", a)
        send(a:reply{ tcp = { flags = "A" } })
        a = sr1(packet{ dst = "%s", tcp = { sport = 41000, dport = 8080,
                        seq = a.tcp.ack_seq, ack_seq = a.tcp.seq + 1,
                        flags = "PA" }, payload = "hello" })
        say("second", a)
        send(a:reply{ tcp = { flags = "R" } })
        sleep(0.2)""" % (FAR, FAR))
    with EchoServer(host.far, FAR, 8080), host.capture() as cap:
        s = run(host, text, way=way)
        cap.sync()
    assert "[SA]" in said(s, "first")
    assert re.search(r"\[P?A\]", said(s, "second")), s.stderr
    assert [str(p[TCP].flags) for p in tcp_of(cap, 8080)] == \
        ["S", "A", "PA", "R"]


@both_ways
def test_a_port_in_use_is_not_taken(host, way):
    mine = host.near.socket(socket.AF_INET, socket.SOCK_STREAM)
    mine.bind((NEAR0, 45000))
    text = task('say("answer", sr1(packet{ dst = "%s", tcp = { sport = 45000, '
                'dport = 81 } }))' % FAR)
    with host.capture() as cap:
        s = run(host, text, way=way)
        cap.sync()
    mine.close()
    assert said(s, "answer") == "nil the source port is in use on this host"
    assert not tcp_of(cap, 81)


def test_a_port_of_a_probe_is_held_and_given_back(host):
    def can_bind():
        with host.near.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
            try:
                s.bind((NEAR0, 45001))
                return True
            except OSError:
                return False
    text = task('sr1(packet{ dst = "%s", tcp = { sport = 45001, dport = 81 } '
                '}) log("sent") sleep(30)' % FAR)
    with host.sluice(text) as s:
        s.wait_err("sluice: sent")
        assert not can_bind()
        assert "tcp . 45001" in host.run("nft list ruleset").stdout
    assert can_bind()


@both_ways
def test_what_is_the_kernels_stays_the_kernels(host, way):
    """While tasks run, what answers none of them is handed on as it came."""
    text = task('for i = 1, 200 do sr1(packet{ dst = "%s", icmp = { type = 8 '
                '} }, 0.2) sleep(0.05) end' % FAR)
    with host.sluice(text, way=way), EchoServer(host.far, FAR, 8080):
        assert host.ping(FAR, 5, "-s", "1200") == 5
        assert host.ping(FAR, 2, "-I", "up0") == 2
        with host.tcp((FAR, 8080)) as c:
            assert echo_once(c)
        u = host.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.settimeout(5)
        u.connect((FAR, 9))
        u.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            u.recv(10)
        u.close()


@both_ways
def test_probes_where_arrivals_are_captured(host, way):
    text = ("capture { dir = 'in' }\n"
            "rule { name = 'r', match = { dir = 'in', proto = 'icmp' }, "
            "action = function(pkt) count('seen') end }\n" +
            task('say("answer", sr1(packet{ dst = "%s", tcp = { dport = 81 } '
                 '})) say("echo", sr1(packet{ dst = "%s", icmp = {} }))'
                 % (FAR, FAR)))
    with host.sluice(text, way=way) as s:
        s.wait_err("sluice: echo:")
        assert "[RA]" in said(s, "answer")
        assert host.ping(FAR, 3) == 3
    # The task's answer met no rule, those of ping did.
    assert re.search(r"count seen: 3$", s.stderr, re.M), s.stderr


@both_ways
def test_where_forwarded_packets_are_dropped(host, way):
    host.near.nft("""table ip theirs {
        chain f {
            type filter hook forward priority 0
            policy drop
        }
    }""")
    text = task('say("answer", sr1(packet{ dst = "%s", tcp = { dport = 81 } '
                '}))' % FAR)
    s = run(host, text, way=way)
    assert "[RA]" in said(s, "answer")


# ---- the life of tasks ------------------------------------------------------

def test_an_error_in_a_task_is_told_and_is_the_status(host):
    s = run(host, "task(function() sleep(0.1) error('oops') end)\n", status=1)
    m = re.search(r"^sluice: task \S*rule\d+\.lua:1: \S*rule\d+\.lua:1: oops$",
                  s.stderr, re.M)
    assert m, s.stderr


def test_a_timer_keeps_it_running_until_it_has_gone(host):
    start = time.monotonic()
    s = run(host, "task(function() end) after(1.2, function() log('late') "
            "end)\n")
    assert time.monotonic() - start > 1.1
    assert "sluice: late" in s.stderr


def test_rules_keep_it_running(host):
    with host.sluice("task(function() log('over') end)\n"
                     "rule { name = 'r', rewrite = { ttl = 77 } }") as s:
        s.wait_err("sluice: over")
        host.udp_through(FAR)


def test_a_command_decides_when_it_is_over(host):
    s = run(host, "task(function() log('over') end)\n",
            cmd=["sh", "-c", "sleep 1; exit 7"], status=7)
    assert "sluice: over" in s.stderr
    s = run(host, "task(function() error('oops') end)\n", cmd=["sleep", "1"],
            status=1)


def test_several_workers_are_one_where_there_are_tasks(host):
    s = run(host, task('say("answer", sr1(packet{ dst = "%s", tcp = { dport = '
                       '81 } }))' % FAR), "--workers", 2)
    assert "[RA]" in said(s, "answer")
    assert "rules with tasks run in one worker" in s.stderr


def test_tasks_end_with_their_worker(host):
    s = host.sluice("task(function() log('on') sleep(60) end)\n")
    s.start()
    try:
        s.wait_err("sluice: on")
        os.kill(s.workers()[0], signal.SIGKILL)
        ends(s, 1)
    finally:
        s.kill()
    assert "the tasks have ended with their worker" in s.stderr
    assert s.stderr.count("sluice: on\n") == 1


def test_a_task_that_no_hook_can_stop(host):
    s = host.sluice("task(function() string.find(('a'):rep(400), "
                    "'a-a-a-a-b') end)\n")
    s.start()
    try:
        ends(s, 1, timeout=60)
    finally:
        s.kill()
    assert "a timer or a task is stuck" in s.stderr


def test_in_the_lab_nobody_answers(host):
    text = task('say("answer", sr1(packet{ dst = "%s", tcp = { dport = 80 } '
                '}, 0.5))' % FAR)
    r = sluice(host, "lab", host.rules(text), "--", "sleep", "2", check=0)
    assert "sluice: answer: nil -" in r.stderr


# ---- time -------------------------------------------------------------------

@both_ways
@pytest.mark.parametrize("dev", [(), ("-I", "up0")])
def test_a_reply_after_a_while(host, way, dev):
    if dev and way == "route":
        pytest.skip("by route no reply arrives from the uplink")
    with host.sluice("rule { name = 'r', match = { proto = 'icmp' }, action = "
                     "function(pkt) return pkt:echo_reply{ delay = 0.3 } end "
                     "}", way=way):
        r = host.run(["ping", "-n", "-c", 2, "-i", "0.2", "-W", 4, *dev,
                      "203.0.113.77"])
    times = [float(t) for t in re.findall(r"time=([\d.]+) ms", r.stdout)]
    assert len(times) == 2, r.stdout
    assert all(t > 295 for t in times), r.stdout


@both_ways
def test_packets_sent_later_and_again(host, way):
    text = ("rule { name = 'r', match = { proto = 'udp', dport = 5400 }, "
            "action = function(pkt) send(pkt, { delay = 0.2, repeats = 2 }) "
            "return DROP end }")
    with host.sluice(text, way=way), UdpServer(host.far, FAR, 5400,
                                               echo=False) as u:
        start = time.monotonic()
        host.udp(b"late", (FAR, 5400))
        wait_for(lambda: len(u.with_data(b"late")) >= 3, "three arrive")
        assert time.monotonic() - start > 0.55
        time.sleep(0.4)
        assert len(u.with_data(b"late")) == 3


def test_an_idle_worker_wakes_up_for_a_timer(host):
    text = ("local n = 0 every(0.1, function() n = n + 1 "
            "send(packet{ dst = '%s', udp = { sport = 5, dport = 5401 }, "
            "payload = tostring(n) }) end)\n"
            "rule { match = { dport = 1 }, action = DROP }" % FAR)
    with host.sluice(text), UdpServer(host.far, FAR, 5401, echo=False) as u:
        wait_for(lambda: u.with_data(b"9"), "nine have come", 5)
        for n in range(1, 9):
            assert len(u.with_data(b"%d" % n)) == 1


def test_many_timers_do_not_hold_up_packets(host):
    text = ("for i = 1, 60000 do after(i / 40000, function() end) end\n"
            "rule { name = 'r', rewrite = { ttl = 77 } }")
    with host.sluice(text) as s:
        for _ in range(10):
            host.udp_through(FAR)
        assert host.ping(GW0, 10) == 10
    assert "errors in rules" in s.stderr and ", 0 errors" in s.stderr


# ---- files ------------------------------------------------------------------

SENDER = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for n in sys.argv[2:]:
    s.sendto(bytes(int(n)), (sys.argv[1], 5999))
time.sleep(0.5)
"""


def send_from_folder(host, text, *sizes):
    """Datagrams of these sizes, while it runs in the tests' own folder."""
    os.chmod(host.tmp, 0o777)
    r = sluice(host, "run", host.rules(text), "--", "/usr/bin/python3", "-c",
               SENDER, FAR, *map(str, sizes), check=0, cwd=host.tmp)
    assert_no_sanitizer_report(r.stderr)
    return r


def test_packets_go_to_a_file(host):
    text = ("rule { name = 'r', match = { proto = 'udp', dport = 5999 }, "
            "action = function(pkt) pcap(pkt, 'all.pcapng') "
            "if pkt.len > 1000 then pcap(pkt, 'long.pcap') end end }")
    send_from_folder(host, text, 10, 1400, 30000)
    every = rdpcap(os.path.join(host.tmp, "all.pcapng"))
    long = rdpcap(os.path.join(host.tmp, "long.pcap"))
    assert [len(p[UDP].payload) for p in every] == [10, 1400, 30000]
    assert [len(p[UDP].payload) for p in long] == [1400, 30000]
    for p in every:
        assert p[IP].dst == FAR and p[UDP].dport == 5999
        sums = p[IP].chksum, p[UDP].chksum
        q = p[IP].copy()
        del q.chksum, q[UDP].chksum
        q = IP(bytes(q))
        assert (q.chksum, q[UDP].chksum) == sums
    mode = os.stat(os.path.join(host.tmp, "all.pcapng")).st_mode
    assert mode & 0o777 == 0o600


def test_a_file_is_not_written_through_a_link(host):
    target = os.path.join(host.tmp, "target")
    os.symlink(target, os.path.join(host.tmp, "x.pcap"))
    text = ("rule { name = 'r', match = { dport = 5999 }, "
            "action = function(pkt) pcap(pkt, 'x.pcap') end }")
    r = send_from_folder(host, text, 10, 20)
    assert not os.path.exists(target)
    assert r.stderr.count("pcap: x.pcap cannot be written") == 1, r.stderr
