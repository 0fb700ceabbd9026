# SPDX-License-Identifier: GPL-2.0-or-later
"""Containers: namespaces behind bridges of the host, with the rules that
Docker loads for them."""
import re
import socket

from net import wait_for

# What Docker loads for a network, masquerading and one published port.
NAT = """
table ip nat {
    chain DOCKER {
        iifname "%(dev)s" return
        iifname != "%(dev)s" tcp dport 8080 dnat to %(net)s.2:80
        iifname != "%(dev)s" udp dport 8080 dnat to %(net)s.2:80
    }
    chain PREROUTING {
        type nat hook prerouting priority dstnat;
        fib daddr type local jump DOCKER
    }
    chain OUTPUT {
        type nat hook output priority -100;
        ip daddr != 127.0.0.0/8 fib daddr type local jump DOCKER
    }
    chain POSTROUTING {
        type nat hook postrouting priority srcnat;
        ip saddr %(net)s.0/24 oifname != "%(dev)s" masquerade
    }
}
"""
FILTER = """
table ip filter {
    chain DOCKER {
        iifname != "%(dev)s" oifname "%(dev)s" ip daddr %(net)s.2 tcp dport 80 accept
        iifname != "%(dev)s" oifname "%(dev)s" ip daddr %(net)s.2 udp dport 80 accept
    }
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        ct state invalid counter drop
        oifname "%(dev)s" ct state related,established accept
        oifname "%(dev)s" jump DOCKER
        iifname "%(dev)s" oifname != "%(dev)s" accept
        iifname "%(dev)s" oifname "%(dev)s" accept
    }
}
"""


class Network:
    """A bridge of the host, and one container behind it: NET.1 and NET.2."""

    def __init__(self, host, dev="docker0", net="172.17.0", count=1,
                 whole=True):
        self.host, self.dev, self.net = host, dev, net
        host.near.sysctl("net.ipv4.ip_forward", 1)
        host.near.ip("link add %s type bridge\naddr add %s.1/24 dev %s\n"
                     "link set %s up" % (dev, net, dev, dev))
        self.containers = [self._container(i + 2, whole)
                           for i in range(count)]
        self.ns = self.containers[0]
        self.addr = net + ".2"

    def _container(self, number, whole):
        ns = self.host.netns("c%d" % number)
        port = "%s-%d" % (self.dev[:9], number)
        self.host.near.ip("link add %s type veth peer name eth0 netns %s\n"
                          "link set %s master %s up" % (
                              port, ns.name, port, self.dev))
        ns.ip("addr add %s.%d/24 dev eth0\nlink set eth0 up\n"
              "route add default via %s.1" % (self.net, number, self.net))
        if whole:
            self.host.offload(ns, "eth0", False)
        ns.sysctl("net.ipv4.icmp_ratelimit", 0)
        return ns

    def words(self):
        return {"dev": self.dev, "net": self.net}

    def docker(self):
        """Masquerade, a published port 8080, FORWARD drops by policy."""
        self.host.near.nft(NAT % self.words() + FILTER % self.words())
        return self

    def ready(self, dst):
        wait_for(lambda: self.ping(dst) == 1, "the container reaches " + dst)
        return self

    # -- clients ---------------------------------------------------------------

    def ping(self, dst, count=1, *options, wait=3):
        r = self.ns.run(["ping", "-n", "-q", "-c", count, "-i", "0.1", "-W",
                         wait, *options, dst], check=False,
                        timeout=count * wait + 15)
        m = re.search(r"(\d+) received", r.stdout)
        return int(m.group(1)) if m else 0

    def udp(self, payload, dst, ttl=None, sport=0):
        s = self.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            if ttl:
                s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
            if sport:
                s.bind(("0.0.0.0", sport))
            s.sendto(payload, dst)
        finally:
            s.close()

    def ask(self, payload, dst, timeout=5, sport=0):
        """Sends a datagram, returns what came back: (bytes, from)."""
        s = self.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            s.settimeout(timeout)
            if sport:
                s.bind(("0.0.0.0", sport))
            s.sendto(payload, dst)
            return s.recvfrom(65535)
        finally:
            s.close()

    def tcp(self, dst, timeout=10):
        return connect(self.ns, dst, timeout)


def connect(ns, dst, timeout=10):
    s = ns.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        s.settimeout(timeout)
        s.connect(dst)
        return s
    except BaseException:
        s.close()
        raise
