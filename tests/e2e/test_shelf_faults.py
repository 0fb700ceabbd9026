# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule library: faults that repeat with their seed, limits, and the log of
connections, with real clients, judged on the far side. What chance does is
foretold here by a generator of our own."""
import json
import os
import re
import socket
import time

import pytest

from far import HttpServer, SinkServer, UdpServer
from host import FAR, FAR1, GOOGLE, NEAR0, Host, random_file, sha256
from net import wait_for
from sluice import rule
from tunnel import INNER_NEAR, Tunnel

ways = pytest.mark.parametrize("way", ["route", "wire"])
MASK = (1 << 64) - 1


@pytest.fixture(params=["whole", "offload"])
def any_host(request):
    h = Host(offload=request.param == "offload")
    yield h
    h.close()


def dice(seed):
    """SplitMix64 (Steele, Lea, Flood 2014), as numbers from 0 up to 1."""
    state = seed
    while True:
        state = (state + 0x9e3779b97f4a7c15) & MASK
        z = state
        z = ((z ^ z >> 30) * 0xbf58476d1ce4e5b9) & MASK
        z = ((z ^ z >> 27) * 0x94d049bb133111eb) & MASK
        yield ((z ^ z >> 31) >> 11) * 2.0 ** -53


def args(**kw):
    return [x for k, v in kw.items() for x in ("--arg", "%s=%s" % (k, v))]


def ping(host, count, *options, dst=FAR):
    return host.run(["ping", "-n", "-c", count, "-i", 0.02, "-W", 2, *options,
                     dst], check=False, timeout=60).stdout


def requests(cap, dst=FAR):
    return [f for f in cap.frames if f.ip.proto == 1 and f.ip.dst == dst and
            f.pkt["ICMP"].type == 8]


def seqs(cap, dst=FAR):
    return [f.pkt["ICMP"].seq for f in requests(cap, dst)]


def send_numbered(host, payloads, port):
    with host.near.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((NEAR0, 0))
        s.connect((FAR, port))
        for p in payloads:
            s.send(p)


def no_rule_failed(s):
    assert not re.search(r"\.lua:\d+: ", s.stderr), s.stderr


# ---- faults -----------------------------------------------------------------

@ways
def test_lossy_loses_what_its_seed_says(host, way):
    draw = dice(7)
    want = [n for n in range(1, 31) if next(draw) >= 0.3]
    for _ in range(2):  # and the same in the next run
        with host.sluice(rule("lossy"), *args(percent=30, seed=7,
                                              proto="icmp"), way=way) as s, \
                host.capture() as cap:
            out = ping(host, 30)
            host.settle(cap)
            assert seqs(cap) == want
            assert "%d received" % len(want) in out, out
        no_rule_failed(s)
        assert "count fault-lost: %d" % (30 - len(want)) in s.stderr


@ways
def test_lossy_of_what_arrives(host, way):
    draw = dice(2)  # one more than the seed: the other direction's
    lost = sum(next(draw) < 0.5 for _ in range(20))
    with host.sluice(rule("lossy"), *args(percent=50, seed=1, proto="icmp",
                                          dir="in"), way=way), \
            host.capture() as cap:
        out = ping(host, 20)
        host.settle(cap)
        assert seqs(cap) == list(range(1, 21))
        assert "%d received" % (20 - lost) in out, out


@ways
def test_curl_gets_its_file_through_losses(any_host, way):
    host = any_host
    path = random_file(os.path.join(host.tmp, "file"), 1 << 20)
    out = os.path.join(host.tmp, "got")
    with host.sluice(rule("lossy"), *args(percent=5, seed=3, dir="both",
                                          proto="tcp"), way=way) as s, \
            HttpServer(host.far, FAR, 80, path):
        r = host.run(["curl", "-sS", "-m", 60, "-o", out, "http://%s/" % FAR],
                     check=False, timeout=70)
        assert r.returncode == 0, r.stderr
    assert sha256(out) == sha256(path)
    assert re.search(r"count fault-lost: [1-9]", s.stderr), s.stderr


@ways
def test_duplicates_are_seen_by_ping(host, way):
    with host.sluice(rule("duplicate"), *args(percent=100, copies=2,
                                              proto="icmp"), way=way) as s, \
            host.capture() as cap:
        out = ping(host, 3)
        host.settle(cap)
        assert sorted(seqs(cap)) == [1, 1, 1, 2, 2, 2, 3, 3, 3]
        # ping ends at the first answer to the last request.
        assert out.count("DUP!") >= 4, out
        assert {f.ip.ttl for f in requests(cap)} == {64}
    no_rule_failed(s)


@ways
def test_datagrams_overtake_each_other(host, way):
    with host.sluice(rule("reorder"), *args(percent=100, gap=2, wait=600,
                                            proto="udp", dport=5011),
                     way=way) as s, \
            UdpServer(host.far, FAR, 5011, echo=False) as ear:
        send_numbered(host, [b"%d" % n for n in range(1, 10)], 5011)
        wait_for(lambda: len(ear.got) == 9, "all arrive")
        assert [int(d.data) for d in ear.got] == [2, 3, 1, 5, 6, 4, 8, 9, 7]
        assert {d.ttl for d in ear.got} == {64}
    no_rule_failed(s)


@ways
def test_what_none_overtakes_leaves_after_a_while(host, way):
    with host.sluice(rule("reorder"), *args(percent=100, wait=0.3,
                                            proto="icmp"), way=way), \
            host.capture() as cap:
        out = ping(host, 1)
        assert "1 received" in out, out
        assert float(re.search(r"time=([\d.]+)", out).group(1)) >= 300
        host.settle(cap)
        assert seqs(cap) == [1]


@ways
@pytest.mark.parametrize("dir,least", [("out", 250), ("in", 250),
                                       ("both", 500)])
def test_lag_is_at_least_what_was_asked_for(host, way, dir, least):
    with host.sluice(rule("lag"), *args(delay=0.25, proto="icmp", dir=dir),
                     way=way) as s, host.capture() as cap:
        out = ping(host, 10)
        assert "10 received" in out and "DUP" not in out, out
        times = [float(t) for t in re.findall(r"time=([\d.]+)", out)]
        assert len(times) == 10 and min(times) >= least, out
        host.settle(cap)
        assert seqs(cap) == list(range(1, 11))
        assert {f.ip.ttl for f in requests(cap)} == {64}
    no_rule_failed(s)


@ways
@pytest.mark.parametrize("dev", [None, "wg0"])
def test_lag_on_an_uplink_without_an_ethernet_header(host, way, dev):
    """A tunnel; sockets bound to it are captured at the wire either way."""
    with Tunnel(host, FAR), \
            UdpServer(host.far, GOOGLE, 5011, echo=False) as ear:
        with host.sluice(rule("lag"), *args(delay=0.25, proto="udp",
                                            dport=5011), way=way) as s:
            for n in range(5):
                sent = time.monotonic()
                host.udp(b"%d" % n, (GOOGLE, 5011), dev=dev)
                wait_for(lambda: len(ear.got) == n + 1, "it arrives")
                assert time.monotonic() - sent >= 0.25
            # The last of them is as late as the first, and none came twice.
            host.udp(b"5", (GOOGLE, 5011), dev=dev)
            wait_for(lambda: len(ear.got) == 6, "it arrives")
        assert [d.data for d in ear.got] == [b"%d" % n for n in range(6)]
        assert {(d.ttl, d.peer[0]) for d in ear.got} == {(64, INNER_NEAR)}
    no_rule_failed(s)


@ways
@pytest.mark.parametrize("dev", [None, "wg0"])
def test_a_delayed_answer_on_such_an_uplink(host, way, dev):
    """An echo reply of ours: it arrives from where an answer would have."""
    with Tunnel(host, FAR), host.sluice("""
            rule { name = "late",
                   match = { proto = "icmp", dst = "192.0.2.0/24" },
                   action = function(pkt)
                     return pkt:echo_reply { delay = 0.25, ttl = 9 }
                   end }
            """, way=way) as s:
        out = ping(host, 3, *(["-I", dev] if dev else []), dst="192.0.2.77")
        times = [float(t) for t in re.findall(r"ttl=9 time=([\d.]+)", out)]
        assert len(times) == 3 and min(times) >= 250, out
        assert "DUP" not in out, out
    no_rule_failed(s)


@ways
def test_lag_with_jitter_keeps_the_order_of_a_stream(any_host, way):
    host = any_host
    path = random_file(os.path.join(host.tmp, "file"), 1 << 19)
    out = os.path.join(host.tmp, "got")
    with host.sluice(rule("lag"), *args(delay=0.01, jitter=0.02, seed=1,
                                        dir="both", proto="tcp"),
                     way=way) as s, HttpServer(host.far, FAR, 80, path):
        r = host.run(["curl", "-sS", "-m", 60, "-w", "%{time_total}", "-o",
                      out, "http://%s/" % FAR], check=False, timeout=70)
        assert r.returncode == 0, r.stderr
        # Two round trips are the least that HTTP takes.
        assert float(r.stdout) >= 0.04
        # A stream that is not reordered is not sent twice for it.
        tcp = host.far.run(["nstat", "-az", "TcpExtTCPSACKReorder"],
                           check=False).stdout
        assert re.search(r"TCPSACKReorder\s+0\b", tcp), tcp
    assert sha256(out) == sha256(path)
    no_rule_failed(s)


def iperf3(host, *options):
    """What the client reports, as JSON."""
    server = host.far.popen(["iperf3", "-s", "-1", "-B", FAR])
    try:
        listening = ["ss", "-Hltn", "sport = :5201"]
        wait_for(lambda: host.far.run(listening).stdout, "iperf3 listens")
        r = host.run(["iperf3", "-J", "-c", FAR, *options], check=False,
                     timeout=60)
        assert r.returncode == 0, r.stdout + r.stderr
        return json.loads(r.stdout)
    finally:
        server.terminate()
        server.wait(10)


@ways
def test_iperf3_is_no_faster_than_the_throttle(any_host, way):
    """400 kB at 200 kB a second."""
    with any_host.sluice(rule("throttle"), *args(rate="200k", proto="tcp",
                                                 dst=FAR), way=way) as s:
        got = iperf3(any_host, "-n", "400K")["end"]["sum_received"]
    assert got["bytes"] > 0
    # What it sends before its clock starts is a few packets.
    assert got["bits_per_second"] / 8 < 230e3, got
    no_rule_failed(s)


def flip(draw, data):
    """The bit that tamper flips, after the draw that chose the packet."""
    at, bit = int(next(draw) * len(data)), int(next(draw) * 8)
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1:]


@ways
@pytest.mark.parametrize("checksum", ["right", "wrong"])
def test_tampered_datagrams(host, way, checksum):
    """With a right checksum they are read, and the bits are those of the
    seed; with a wrong one the far side's kernel drops them."""
    data = [b"%02d" % n + b"0123456789abcdef" * 8 for n in range(20)]
    draw, want = dice(4), []
    for d in data:
        chosen = next(draw) < 0.5
        tampered = flip(draw, d) if chosen else d
        if not chosen or checksum == "right":
            want.append(tampered)
    assert want != data
    with host.sluice(rule("tamper"), *args(percent=50, seed=4, proto="udp",
                                           dport=5011, checksum=checksum),
                     way=way) as s, \
            UdpServer(host.far, FAR, 5011, echo=False) as ear, \
            host.capture() as cap:
        send_numbered(host, data, 5011)
        wait_for(lambda: len(ear.got) >= len(want), "what may be read is read")
        host.settle(cap)
        assert [d.data for d in ear.got] == want
        assert len([f for f in cap.frames if f.ip.proto == 17 and
                    f.pkt["UDP"].dport == 5011]) == len(data)
    no_rule_failed(s)


@ways
def test_curl_gets_its_file_through_wrong_bits(any_host, way):
    """Offload or not: what is tampered with is noticed and sent again."""
    host = any_host
    path = random_file(os.path.join(host.tmp, "file"), 1 << 20)
    out = os.path.join(host.tmp, "got")
    with host.sluice(rule("tamper"), *args(percent=5, seed=3, dir="both",
                                           proto="tcp"), way=way) as s, \
            HttpServer(host.far, FAR, 80, path), \
            SinkServer(host.far, FAR, 5010) as sink:
        r = host.run(["curl", "-sS", "-m", 60, "-o", out, "http://%s/" % FAR],
                     check=False, timeout=70)
        assert r.returncode == 0, r.stderr
        r = host.run("nc -N %s 5010 <%s" % (FAR, path), check=False,
                     timeout=60)
        wait_for(lambda: sink.done, "the other end has read it", 30)
        assert sink.digest.hexdigest() == sha256(path)
    assert sha256(out) == sha256(path)
    assert re.search(r"count fault-tampered: [1-9]", s.stderr), s.stderr


# ---- limits -----------------------------------------------------------------

@ways
def test_rate_limit_is_by_destination(host, way):
    with host.sluice(rule("rate-limit"), *args(rate=0, burst=5, proto="icmp"),
                     way=way) as s, host.capture() as cap:
        for dst in (FAR, FAR1):
            assert "5 received" in ping(host, 9, dst=dst)
        host.settle(cap)
        assert seqs(cap, FAR) == seqs(cap, FAR1) == [1, 2, 3, 4, 5]
    assert "count rate-limited: 8" in s.stderr


@ways
def test_rate_limit_lets_more_pass_later(host, way):
    with host.sluice(rule("rate-limit"), *args(rate=20, burst=1, proto="icmp"),
                     way=way):
        # Three a bucket's time apart pass, whatever else happens.
        out = host.run(["ping", "-n", "-c", 3, "-i", 0.2, "-W", 3, FAR]).stdout
        assert "3 received" in out, out


@ways
def test_quota_of_both_directions_to_the_byte(host, way):
    """Three echoes of 84 bytes, there and back."""
    with host.sluice(rule("quota"), *args(bytes=84 * 6 + 83, proto="icmp",
                                          per="host"), way=way) as s, \
            host.capture() as cap:
        for dst in (FAR, FAR1):
            out = ping(host, 5, dst=dst)
            assert "3 received" in out and "Packet filtered" in out, out
        host.settle(cap)
        assert seqs(cap, FAR) == seqs(cap, FAR1) == [1, 2, 3]
    assert "count over-quota: 4" in s.stderr


@ways
def test_quota_ends_a_download(any_host, way):
    path = random_file(os.path.join(any_host.tmp, "file"), 1 << 20)
    out = os.path.join(any_host.tmp, "got")
    with any_host.sluice(rule("quota"), *args(bytes="300k", proto="tcp"),
                         way=way), HttpServer(any_host.far, FAR, 80, path):
        r = any_host.run(["curl", "-sS", "-m", 3, "-o", out, "http://%s/" %
                          FAR], check=False)
        assert r.returncode != 0
    assert os.path.getsize(out) < 300000


@ways
def test_nothing_leaks(host, way):
    with host.sluice(rule("no-leak"),
                     *args(nets="198.51.100.0/24,!198.51.100.8,10.66.0.0/16,"
                           "10.67.0.0/16"), way=way), \
            HttpServer(host.far, "0.0.0.0", 80), host.capture() as cap:
        curl = ["curl", "-sS", "-m", 8]
        assert host.run(curl + ["http://%s/" % FAR]).stdout == "hello\n"
        for dst, dev in ((FAR1, "up1"), (FAR1, "up0"), ("198.51.100.8", "up0"),
                         ("8.8.8.8", "up0")):
            for extra in ([], ["--interface", dev]):
                r = host.run(curl + extra + ["http://%s/" % dst], check=False)
                assert r.returncode == 7, r.stderr
            assert "Packet filtered" in ping(host, 1, dst=dst)
        host.settle(cap)
        assert {f.ip.dst for f in cap.frames} <= {FAR, "10.66.0.2",
                                                  "10.67.0.2"}


# ---- connections ------------------------------------------------------------

@ways
def test_connection_log_counts_what_a_sniffer_sees(host, way):
    with host.sluice(rule("connection-log"), *args(idle=2), way=way) as s, \
            HttpServer(host.far, FAR, 80, body=b"x" * 5000), \
            host.capture(direction="inout") as cap:
        r = host.run(["curl", "-sS", "-m", 8, "http://%s/" % FAR])
        assert len(r.stdout) == 5000
        ping(host, 4)
        line = s.wait_err(re.compile(
            r"tcp %s:\d+ <> %s:80 (\d+) packets (\d+) bytes [\d.]+ s$" %
            (NEAR0, FAR), re.M))
        echo = s.wait_err(re.compile(
            r"icmp %s:\d+ <> %s:\d+ (\d+) packets (\d+) bytes" % (NEAR0, FAR)))
        cap.sync()
        tcp = [f for f in cap.frames if f.ip.proto == 6]
        assert int(line.group(1)) == len(tcp)
        assert int(line.group(2)) == sum(f.ip.len for f in tcp)
        assert echo.groups() == ("8", str(8 * 84))
        assert len(re.findall(r"<> \S+:80 ", s.stderr)) == 1
    no_rule_failed(s)
    assert re.search(r"count connections: [2-9]", s.stderr), s.stderr


@ways
def test_connection_log_of_a_port_that_is_closed(host, way):
    with host.sluice(rule("connection-log"), *args(proto="tcp", dport=81),
                     way=way) as s:
        with pytest.raises(ConnectionRefusedError):
            host.tcp((FAR, 81))
        m = s.wait_err(re.compile(r"<> %s:81 (\d+) packets" % FAR))
        assert m.group(1) == "2"
