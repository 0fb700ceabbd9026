# SPDX-License-Identifier: GPL-2.0-or-later
"""The judges themselves, without sluice: a test that could not fail would
prove nothing."""
import os

import pytest

import net
from far import EchoServer, UdpServer
from host import FAR, FAR1, GOOGLE, GW0, NEAR0, NEAR1, echo_once
from sluice import assert_no_sanitizer_report, one_line
from tunnel import PORT, Tunnel


def test_each_uplink_reaches_its_far_side_with_its_own_source(host):
    with UdpServer(host.far, "0.0.0.0", 5000) as u:
        host.udp(b"a", (FAR, 5000))
        host.udp(b"b", (FAR1, 5000))
        net.wait_for(lambda: len(u.got) == 2, "two datagrams")
    assert {d.data: d.peer[0] for d in u.got} == {b"a": NEAR0, b"b": NEAR1}


def test_the_capture_sees_whole_packets_with_complete_checksums(host):
    nonce = os.urandom(8)
    with host.capture() as cap:
        host.udp(nonce, (FAR, 5000), ttl=17)
    f, = cap.with_bytes(nonce)
    assert f.dev == "fu0" and f.ip.ttl == 17
    whole = bytes(f.ip)
    again = f.ip.copy()
    del again.chksum
    del again.payload.chksum
    assert bytes(again) == whole


def test_a_datagram_that_arrives_is_not_blocked(host):
    d = host.udp_arrives(FAR, ttl=33)
    assert d.ttl == 33 and d.peer[0] == NEAR0
    assert not host.udp_blocked(FAR)
    with pytest.raises(AssertionError):
        host.udp_through(FAR)


def test_a_datagram_that_a_firewall_drops_is_blocked(host):
    host.near.nft("table ip t { chain o { type filter hook output priority 0; "
             "udp dport 5999 drop; }; }")
    assert host.udp_blocked(FAR)


def test_settle_waits_for_all_ways(host):
    nonce = os.urandom(8)
    with host.capture() as cap:
        host.udp(nonce, (GW0, 5000))
        host.settle(cap)
        assert len(cap.with_bytes(nonce)) == 1


def test_a_tcp_connection_echoes(host):
    with EchoServer(host.far, FAR, 80):
        s = host.tcp((FAR, 80))
        echo_once(s)
        s.close()


@pytest.mark.parametrize("change", [
    "ip rule add pref 77 fwmark 1 lookup 77",
    "ip route add 10.99.0.0/16 via 10.66.0.2 table 100",
    "nft add table inet left",
    "sysctl -q -w net.ipv4.conf.up0.rp_filter=2",
    "sysctl -q -w net.ipv4.ip_forward=1",
    "ip tuntap add left0 mode tun",
    "ip addr add 10.66.0.9/24 dev up0",
    "ip link set up0 mtu 1400",
    "tc qdisc add dev up0 clsact",
    "tc qdisc replace dev up0 root tbf rate 1mbit burst 10k latency 50ms",
])
def test_a_snapshot_shows(host, change):
    before = net.snapshot(host.near)
    assert net.snapshot_diff(before, net.snapshot(host.near)) == ""
    host.run(change)
    assert net.snapshot_diff(before, net.snapshot(host.near)) != ""


def test_traffic_alone_changes_no_snapshot(host):
    before = net.snapshot(host.near)
    with EchoServer(host.far, FAR, 80):
        s = host.tcp((FAR, 80))
        echo_once(s)
        s.close()
    host.ping(FAR1, 3, check=3)
    assert net.snapshot_diff(before, net.snapshot(host.near)) == ""


@pytest.mark.parametrize("text", [
    "==1==ERROR: AddressSanitizer: heap-use-after-free",
    "src/a.c:3:1: runtime error: shift",
    "==2==ERROR: LeakSanitizer: detected memory leaks",
])
def test_a_sanitizer_report_is_noticed(text):
    with pytest.raises(AssertionError):
        assert_no_sanitizer_report("fine\n" + text)


def test_two_lines_are_not_one_line():
    with pytest.raises(AssertionError):
        one_line("a\nb\n")


def test_wait_for_gives_up():
    with pytest.raises(AssertionError):
        net.wait_for(lambda: False, "never", timeout=0.1)


def test_a_namespace_of_a_dead_run_is_removed():
    name = "%s%dx1left" % (net.PREFIX, 2 ** 22 + 1)
    net.subprocess.run(["ip", "netns", "add", name], check=True)
    net.clean_leftovers()
    assert not os.path.exists("/run/netns/" + name)


def test_a_tunnel_as_wg_quick_sets_it_up_carries_the_default_route(host):
    with Tunnel(host, FAR), host.capture() as cap:
        host.ping(GOOGLE, 3, check=3)
    inside = [f for f in cap.frames if f.ip.proto == 17 and
              f.ip.dport == PORT]
    assert 3 <= len(inside) < 20
    assert not [f for f in cap.frames if f.ip.dst == GOOGLE]
