# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's own firewall means the same while everything is captured: one
list of questions, asked without sluice and with it."""
import contextlib
import os
import re
import socket
import time

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from containers import Network
from far import EchoServer, UdpServer, send_frame
from host import FAR, FAR1, GW0, GW1, NEAR0, NEAR1, echo_once

ALL = 'capture { dir = { "out", "in", "forward" } }\n'
# Seconds after which nobody is going to answer.
SILENCE = 1.0
# What is handed over, by what the rules say.
RULES = {
    "all is handed over": "rule { action = function(pkt) end }",
    "all is decided in the kernel":
        'rule { match = { proto = "udp", dport = 4 }, action = DROP }',
    "some is handed over":
        'rule { match = { proto = { "tcp", "icmp" } }, '
        'action = function(pkt) end }',
}

FIREWALL = """
table inet host {
    chain input {
        type filter hook input priority filter; policy drop;
        iifname "lo" accept
        ct state invalid counter drop
        ct state established,related accept
        iifname "up0" tcp dport 80 ct state new accept
        iifname "up1" udp dport 53 accept
        iifname "docker0" tcp dport 81 accept
        iifname { "up0", "docker0" } icmp type echo-request accept
    }
    chain output {
        type filter hook output priority filter; policy drop;
        oifname "lo" accept
        tcp dport 9999 reject with tcp reset
        udp dport 9999 drop
        ct state new,established,related accept
    }
}
"""
DOCKER_USER = """
insert rule ip filter FORWARD iifname "up1" oifname "docker0" ct state new drop
insert rule ip filter FORWARD iifname "docker0" udp dport 9998 drop
"""


def opens(ns, dst, src=None):
    """'open', 'refused' or 'silent'."""
    s = ns.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.settimeout(SILENCE)
    try:
        if src:
            s.bind((src, 0))
        s.connect(dst)
        echo_once(s, os.urandom(5000))
        return "open"
    except ConnectionRefusedError:
        return "refused"
    except (socket.timeout, PermissionError):
        return "silent"
    finally:
        s.close()


def answers(ns, dst, src=None):
    s = ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(SILENCE)
    try:
        if src:
            s.bind((src, 0))
        s.connect(dst)
        s.send(b"?")
        return "open" if s.recv(10) == b"?" else "odd"
    except ConnectionRefusedError:
        return "refused"
    except (socket.timeout, PermissionError):
        return "silent"
    finally:
        s.close()


def pings(ns, dst, *options):
    r = ns.run(["ping", "-n", "-q", "-c", 1, "-W", SILENCE, *options, dst],
               check=False)
    return "open" if " 1 received" in r.stdout else "silent"


class Stage:
    """A host with a firewall, a container with a published port, servers."""

    def __init__(self, host):
        self.host = host
        self.net = Network(host).docker().ready(FAR)
        # The far side may try the container's own address, too.
        host.far.ip("route add 172.17.0.0/24 via " + NEAR0)
        host.near.nft(FIREWALL)
        host.near.nft(DOCKER_USER)
        for dev in ("all", "default", "up0", "up1", "docker0"):
            host.near.sysctl("net.ipv4.conf.%s.rp_filter" % dev, 1)
        self.stack = contextlib.ExitStack()
        add = self.stack.enter_context
        for port in (80, 81):
            add(EchoServer(host.near, "0.0.0.0", port))
        self.dns = add(UdpServer(host.near, "0.0.0.0", 53))
        add(EchoServer(self.net.ns, "0.0.0.0", 80))
        for addr in (FAR, FAR1):
            add(EchoServer(host.far, addr, 80))
        add(EchoServer(host.far, FAR, 9999))
        add(UdpServer(host.far, FAR, 5000))
        add(UdpServer(host.far, FAR, 9998))
        self.far_ear = add(UdpServer(host.far, FAR, 9997))

    def close(self):
        self.stack.close()

    # -- frames that no socket sends --------------------------------------------

    def mac(self, ns, dev):
        return ns.run(["cat", "/sys/class/net/%s/address" % dev]
                      ).stdout.strip()

    def spoofed(self, ns, dev, near_dev, src, dst, dport):
        """A datagram with a source that its device is not the way to: does
        it get to the server?"""
        data = os.urandom(8)
        server = self.dns if dport == 53 else self.far_ear
        send_frame(ns, dev, bytes(
            Ether(src=self.mac(ns, dev), dst=self.mac(self.host.near,
                                                      near_dev))
            / IP(src=src, dst=dst) / UDP(sport=4000, dport=dport)
            / Raw(data)))
        end = time.monotonic() + SILENCE
        while time.monotonic() < end:
            if server.with_data(data):
                return "open"
            time.sleep(0.02)
        return "silent"

    def stray_answer(self):
        """A SYN-ACK of no connection: with INPUT dropping what is invalid,
        the host does not answer it."""
        with self.host.capture(expr="tcp") as cap:
            send_frame(self.host.far, "fu0", bytes(
                Ether(src=self.mac(self.host.far, "fu0"),
                      dst=self.mac(self.host.near, "up0"))
                / IP(src=GW0, dst=NEAR0)
                / TCP(sport=4321, dport=80, flags="SA", seq=5, ack=7)))
            time.sleep(SILENCE / 2)
            cap.sync()
            return "refused" if [f for f in cap.frames
                                 if f.ip.payload.dport == 4321] else "silent"

    def hops(self):
        r = self.net.ns.run(["traceroute", "-n", "-q", 1, "-w", 2, "-m", 4,
                             FAR])
        return re.findall(r"^ *\d+  (\S+)", r.stdout, re.M)

    def path_mtu(self):
        r = self.net.ns.run(["ping", "-n", "-c", 1, "-M", "do", "-s", 1472,
                             "-W", SILENCE, FAR1], check=False)
        m = re.search(r"mtu ?= ?(\d+)", r.stdout + r.stderr)
        return int(m.group(1)) if m else None

    def ask(self):
        near, far, ctr = self.host.near, self.host.far, self.net.ns
        return {
            # Ports that are open by the device something comes by.
            "far to 80 by up0": opens(far, (NEAR0, 80)),
            "far to 80 by up1": opens(far, (NEAR1, 80)),
            "far to 81 by up0": opens(far, (NEAR0, 81)),
            "container to 81": opens(ctr, ("172.17.0.1", 81)),
            "container to 80": opens(ctr, ("172.17.0.1", 80)),
            "container to 81 by another address": opens(ctr, (NEAR0, 81)),
            "far to 53 by up1": answers(far, (NEAR1, 53)),
            "far to 53 by up0": answers(far, (NEAR0, 53)),
            "far pings by up0": pings(far, NEAR0),
            "far pings by up1": pings(far, NEAR1),
            "far pings with TTL 1": pings(far, NEAR0, "-t", 1),
            "container pings": pings(ctr, "172.17.0.1"),
            # By the connection's state.
            "host to far": opens(near, (FAR, 80)),
            "host to far by up1": opens(near, (FAR1, 80)),
            "host asks far": answers(near, (FAR, 5000)),
            "host pings far": pings(near, FAR),
            "host pings the container": pings(near, self.net.addr),
            "host to the container": opens(near, (self.net.addr, 80)),
            "host to a port it may not": opens(near, (FAR, 9999)),
            "host asks a port it may not": answers(near, (FAR, 9999)),
            "an answer of no connection": self.stray_answer(),
            # What passes through.
            "container to far": opens(ctr, (FAR, 80)),
            "container to far by up1": opens(ctr, (FAR1, 80)),
            "container asks far": answers(ctr, (FAR, 5000)),
            "container asks a port it may not": answers(ctr, (FAR, 9998)),
            "container pings far": pings(ctr, FAR),
            "far to the published port": opens(far, (NEAR0, 8080)),
            "far to the published port by up1": opens(far, (NEAR1, 8080)),
            "far to the container's own port": opens(far, (self.net.addr, 80)),
            "far pings the container": pings(far, self.net.addr),
            "host to its published port": opens(near, (NEAR0, 8080)),
            # Sources that are not from there.
            "far lies by up1": self.spoofed(far, "fu1", "up1", FAR, NEAR1, 53),
            "far does not lie": self.spoofed(far, "fu1", "up1", GW1, NEAR1,
                                             53),
            "the container lies": self.spoofed(ctr, "eth0", "docker0",
                                               "10.67.0.77", FAR, 9997),
            "hops": self.hops(),
            "path MTU": self.path_mtu(),
        }


EXPECTED = {
    "far to 80 by up0": "open",
    "far to 80 by up1": "silent",
    "far to 81 by up0": "silent",
    "container to 81": "open",
    "container to 80": "silent",
    "container to 81 by another address": "open",
    "far to 53 by up1": "open",
    "far to 53 by up0": "silent",
    "far pings by up0": "open",
    "far pings by up1": "silent",
    "far pings with TTL 1": "open",
    "container pings": "open",
    "host to far": "open",
    "host to far by up1": "open",
    "host asks far": "open",
    "host pings far": "open",
    "host pings the container": "open",
    "host to the container": "open",
    "host to a port it may not": "refused",
    "host asks a port it may not": "silent",
    "an answer of no connection": "silent",
    "container to far": "open",
    "container to far by up1": "open",
    "container asks far": "open",
    "container asks a port it may not": "silent",
    "container pings far": "open",
    "far to the published port": "open",
    "far to the published port by up1": "silent",
    "far to the container's own port": "open",
    "far pings the container": "silent",
    "host to its published port": "open",
    "far lies by up1": "silent",
    "far does not lie": "open",
    "the container lies": "silent",
    "hops": ["172.17.0.1", FAR],
    "path MTU": 1400,
}


@pytest.fixture
def stage(host):
    host.near.ip("link set up1 mtu 1400")
    host.far.ip("link set fu1 mtu 1400")
    s = Stage(host)
    yield s
    s.close()


def differences(stage):
    got = stage.ask()
    return {k: (EXPECTED[k], v) for k, v in got.items() if v != EXPECTED[k]}


def test_without_sluice(stage):
    assert not differences(stage)


@pytest.mark.slow(120)
@pytest.mark.parametrize("what", sorted(RULES))
def test_with_everything_captured(host, stage, what):
    with host.sluice(ALL + RULES[what]) as s:
        assert not differences(stage)
        assert "at the wire" in s.stderr


@pytest.mark.slow(120)
def test_with_several_workers(host, stage):
    with host.sluice(ALL + RULES["all is handed over"], "--workers", 2):
        assert not differences(stage)
