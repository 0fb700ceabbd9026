# SPDX-License-Identifier: GPL-2.0-or-later
"""Stages for scripts/bench: two network namespaces each, joined by a veth, and
what is put between them. Must not know what is measured.

     near                                  far
 up0 10.66.0.1/24  ─────────────────  fu0 10.66.0.2/24, 198.18.0.0/15 behind it
"""
import os
import re
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))

from net import Netns, wait_for  # noqa: E402

NEAR, FAR, SPREAD = "10.66.0.1", "10.66.0.2", "198.18.0.0"
PORT = 4000          # of the traffic, see traffic.c
READY = re.compile(r"^sluice: capturing.*", re.M)
SEEN = re.compile(r"^sluice: done: (\d+) packets seen", re.M)


class Missing(Exception):
    """What this machine cannot do: said, not measured."""


class Stage:
    """A host and a far side with nothing between."""

    def __init__(self, programs, tmp, congestion):
        self.programs, self.tmp = programs, tmp
        self.procs = []
        self.near, self.far = Netns("near"), Netns("far")
        self.near.ip("link add up0 type veth peer name fu0 netns %s"
                     % self.far.name)
        self.near.ip("addr add 10.66.0.1/24 broadcast + dev up0\n"
                     "link set up0 up")
        self.far.ip("addr add 10.66.0.2/24 broadcast + dev fu0\n"
                    "link set fu0 up")
        # No ARP in between.
        mac = {}
        for ns, dev in ((self.near, "up0"), (self.far, "fu0")):
            mac[dev] = re.search(r"link/ether (\S+)", ns.ip(
                "link show dev " + dev)).group(1)
            ns.sysctl("net.ipv4.tcp_congestion_control", congestion)
        self.near.ip("neigh replace 10.66.0.2 lladdr %s nud permanent dev up0\n"
                     "route add default via 10.66.0.2" % mac["fu0"])
        self.far.ip("neigh replace 10.66.0.1 lladdr %s nud permanent dev fu0"
                    % mac["up0"])
        # What nobody is to receive ends where it arrives, at no cost to talk
        # of and without an answer.
        self.far.nft("""
            table netdev sink {
                chain in {
                    type filter hook ingress device fu0 priority 0
                    udp dport %d drop
                }
            }""" % PORT)

    def file(self, name, text):
        path = os.path.join(self.tmp, name)
        if not os.path.exists(path):
            with open(path, "w") as f:
                f.write(text)
        return path

    def pids(self):
        """All processes that have a part in it."""
        return self.near.pids()

    def popen(self, argv, label):
        """Starts it with its output in a file; (process, path)."""
        path = os.path.join(self.tmp, "%s.%s" % (self.near.name, label))
        with open(path, "w") as f:
            p = self.near.popen(argv, stdout=f, stderr=subprocess.STDOUT)
        self.procs.append(p)
        return p, path

    def program(self, argv):
        """One of ours: started, until it says that it is ready."""
        p, path = self.popen([os.path.join(self.programs, argv[0])] + argv[1:],
                             argv[0])
        wait_for(lambda: p.poll() is not None or "ready" in read(path),
                 argv[0], step=0.005)
        if p.poll() is not None:
            self.procs.remove(p)
            raise Missing(read(path).strip() or argv[0] + " ended")

    def turn(self, kind, ms, cpus):
        """One turn of traffic; numbers as bench_traffic prints them."""
        near, far = ["/run/netns/" + ns.name for ns in (self.near, self.far)]
        if kind in ("received", "tcp-received"):
            args = [{"received": "udp"}.get(kind, "tcp"),
                    far, near, NEAR, "up0"]
        else:
            args = [{"sent": "sink"}.get(kind, kind), near, far,
                    SPREAD if kind == "spread" else FAR, "fu0"]
        r = subprocess.run(
            [os.path.join(self.programs, "bench_traffic")] + args +
            [str(n) for n in [ms, *cpus, *self.pids()]],
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=60)
        if r.returncode != 0:
            raise RuntimeError("%s: %s" % (kind, r.stderr.strip() or
                                           "the traffic ended early"))
        return [float(n) for n in r.stdout.split()]

    def close(self):
        self.near.close()
        self.far.close()


class Sluice(Stage):
    """The program under test between the two."""

    def __init__(self, programs, tmp, congestion, sluice, rules, options):
        super().__init__(programs, tmp, congestion)
        began = time.monotonic()
        p, self.log = self.popen([sluice, "run"] + options + [rules], "log")
        wait_for(lambda: p.poll() is not None or READY.search(read(self.log)),
                 lambda: "sluice captures:\n" + read(self.log), 60, 0.001)
        self.started = time.monotonic() - began
        self.started_cpu = sum(cpu_time(pid) for pid in self.pids())
        if p.poll() is not None:
            self.close()
            raise Missing("sluice ended: " + read(self.log).strip())

    def end(self):
        """Ends it; how many packets came to user space."""
        p = self.procs.pop()
        p.send_signal(signal.SIGTERM)
        p.wait(30)
        m = SEEN.search(read(self.log))
        if p.returncode or not m:
            raise RuntimeError("sluice ended with %s: %s" % (
                p.returncode, read(self.log)))
        return int(m.group(1))


def cpu_time(pid):
    """Seconds so far."""
    try:
        return int(read("/proc/%d/schedstat" % pid).split()[0]) / 1e9
    except FileNotFoundError:
        return 0


def read(path):
    with open(path, errors="replace") as f:
        return f.read()


def tun_loop(stage, how):
    """Policy routing into a TUN, by hand, and a loop that copies."""
    stage.program(["bench_tunloop", "tun0", how])
    stage.near.ip("""
        addr add 192.0.0.8/32 scope host dev tun0
        link set tun0 mtu 65535 up
        route add default dev tun0 table 100
        rule add pref 100 fwmark 0x1000 lookup 100
        """)
    for key in "accept_local", "forwarding":
        stage.near.sysctl("net.ipv4.conf.tun0." + key, 1)
    stage.near.sysctl("net.ipv4.conf.tun0.rp_filter", 2)
    stage.near.nft("""
        table ip byhand {
            chain out {
                type route hook output priority mangle
                oifname != lo meta mark set 0x1000
            }
        }""")


def nfqueue(stage, _):
    """The traffic into an NFQUEUE, on its way out and when it arrives."""
    stage.program(["bench_nfqueue", "0"])
    for proto in "tcp", "udp":
        for chain in "OUTPUT", "INPUT":
            # By iptables: its module is there more often than nft's word.
            r = stage.near.run(["iptables", "-A", chain, "-p", proto,
                                "--dport", PORT, "-j", "NFQUEUE",
                                "--queue-num", 0], check=False)
            if r.returncode:
                raise Missing("this kernel has no NFQUEUE: " +
                              r.stderr.strip().splitlines()[-1])
