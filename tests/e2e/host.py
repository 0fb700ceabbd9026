# SPDX-License-Identifier: GPL-2.0-or-later
"""The usual topology: a host with two uplinks, and a far side.

          near                                    far
   up0 10.66.0.1/24  ─────────────────── fu0 10.66.0.2/24
   up1 10.67.0.1/24  ─────────────────── fu1 10.67.0.2/24
   default by up0, 203.0.113.0/24 by up1   lo 198.51.100.9 8.8.8.8 203.0.113.9
"""
import contextlib
import errno
import hashlib
import os
import re
import shutil
import socket
import tempfile
import time

from far import Capture, UdpServer
from net import PREFIX, Netns, wait_for
from sluice import Sluice

FAR = "198.51.100.9"     # by the default route, up0
FAR1 = "203.0.113.9"     # by up1
GOOGLE = "8.8.8.8"
NEAR0, NEAR1 = "10.66.0.1", "10.67.0.1"
GW0, GW1 = "10.66.0.2", "10.67.0.2"
PROBE, FENCE = 5999, 7777  # UDP ports

# Rules that many tests use. FENCE_RULE comes first where a test wants to know
# that all before it has been through.
FENCE_RULE = """
rule { name = "fence", match = { proto = "udp", dport = 7777 },
       action = function(pkt) return ACCEPT end }
"""
DROP_ALL = FENCE_RULE + """
rule { name = "drop", action = function(pkt) return DROP end }
"""
# Whatever went through the rules has this TTL on the wire.
THROUGH = """
rule { name = "through", action = function(pkt) pkt.ip.ttl = 77 end }
"""
LOOK = """
rule { name = "look", action = function(pkt) end }
"""


@contextlib.contextmanager
def dropped_in_the_kernel():
    """A packet that a firewall of the kernel drops while it is being sent
    comes back to its sender as EPERM (output hook) or ENOBUFS (egress)."""
    try:
        yield
    except OSError as e:
        if e.errno not in (errno.EPERM, errno.ENOBUFS):
            raise


class Host:
    def __init__(self, offload=False):
        # Not pytest's tmp_path: other users must get there too.
        self.tmp = tempfile.mkdtemp(prefix="%s%dx" % (PREFIX, os.getpid()))
        os.chmod(self.tmp, 0o755)
        self._n = 0
        self._open = []
        self._udp = {}
        self.near = self.netns("near")
        self.far = self.netns("far")
        # One IGMP report per join, so that "exactly one" can be said. (A
        # device remembers it from when it was made.)
        self.near.sysctl("net.ipv4.igmp_qrv", 1)
        self.near.ip("""
            link add up0 type veth peer name fu0 netns %s
            link add up1 type veth peer name fu1 netns %s
            addr add 10.66.0.1/24 broadcast + dev up0
            addr add 10.67.0.1/24 broadcast + dev up1
            link set up0 up
            link set up1 up
            route add default via 10.66.0.2
            route add 203.0.113.0/24 via 10.67.0.2
            """ % (self.far.name, self.far.name))
        self.far.ip("""
            addr add 10.66.0.2/24 broadcast + dev fu0
            addr add 10.67.0.2/24 broadcast + dev fu1
            addr add 198.51.100.9/32 dev lo
            addr add 203.0.113.9/32 dev lo
            addr add 8.8.8.8/32 dev lo
            link set fu0 up
            link set fu1 up
            """)
        for ns in (self.near, self.far):
            with contextlib.suppress(OSError):
                ns.sysctl("net.ipv4.tcp_congestion_control", "cubic")
            ns.sysctl("net.ipv4.icmp_ratelimit", 0)
        if not offload:
            for dev in ("up0", "up1"):
                self.offload(self.near, dev, False)
            for dev in ("fu0", "fu1"):
                self.offload(self.far, dev, False)
        self.warm()

    def netns(self, label):
        ns = Netns(label)
        self._open.append(ns)
        return ns

    @staticmethod
    def offload(ns, dev, on):
        """Off: whole checksums and single segments cross the link."""
        ns.run(["ethtool", "-K", dev, "tx", "on" if on else "off"])

    def warm(self):
        """Neighbours known on both sides, links up."""
        self.near.run("ping -c1 -i0.1 -W5 -q %s & ping -c1 -i0.1 -W5 -q %s & "
                      "wait" % (GW0, GW1))

    def close(self):
        for s in self._udp.values():
            s.close()
        for ns in reversed(self._open):
            ns.close()
        shutil.rmtree(self.tmp, ignore_errors=True)

    def run(self, cmd, **kw):
        return self.near.run(cmd, **kw)

    def rules(self, text):
        """A rule file with this text; its path."""
        self._n += 1
        path = os.path.join(self.tmp, "rule%d.lua" % self._n)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o644)
        return path

    def file(self, name, text):
        path = os.path.join(self.tmp, name)
        with open(path, "wb" if isinstance(text, bytes) else "w") as f:
            f.write(text)
        os.chmod(path, 0o644)
        return path

    def sluice(self, rules=(), *options, **kw):
        return Sluice(self, rules, *options, **kw)

    def capture(self, **kw):
        """What the far side gets."""
        peers = kw.pop("peers", None) or {"fu0": (self.near, "up0"),
                                          "fu1": (self.near, "up1")}
        return Capture(self.far, peers, self.tmp, **kw)

    # -- senders ---------------------------------------------------------------

    def udp(self, payload, dst=(FAR, 5000), ttl=None, mark=None, dev=None,
            src=None, options=()):
        s = self.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            if mark is not None:
                s.setsockopt(socket.SOL_SOCKET, 36, mark)  # SO_MARK
            if dev:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE,
                             dev.encode())
            if ttl is not None:
                s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
            for level, opt, value in options:
                s.setsockopt(level, opt, value)
            if src:
                s.bind(src)
            s.sendto(payload, dst)
        finally:
            s.close()

    def _ears(self):
        if not self._udp:
            self._udp = {port: UdpServer(self.far, "0.0.0.0", port, echo=False)
                         for port in (PROBE, FENCE)}
        return self._udp

    def udp_arrives(self, dst=FAR, timeout=5, **kw):
        """Sends a datagram; as the far side got it, or None. Silence is
        known by time here: udp_blocked() is the better question."""
        ears, nonce = self._ears(), os.urandom(16)
        self.udp(nonce, (dst, PROBE), **kw)
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            got = ears[PROBE].with_data(nonce)
            if got:
                return got[0]
            time.sleep(0.01)
        return None

    def udp_through(self, dst=FAR, ttl=77, **kw):
        """One datagram arrives, and with the TTL that a rule gave it."""
        d = self.udp_arrives(dst, **kw)
        assert d, "a datagram to %s arrives" % dst
        assert d.ttl == ttl, "TTL %d: it went past the rules" % d.ttl
        return d

    def udp_blocked(self, dst=FAR, **kw):
        """True: the datagram did not come while one behind it, to the port
        that the rules let pass, did."""
        ears, nonce = self._ears(), os.urandom(16)
        with dropped_in_the_kernel():
            self.udp(nonce, (dst, PROBE), **kw)
        self.udp(nonce, (dst, FENCE), **kw)
        wait_for(lambda: ears[FENCE].with_data(nonce),
                 "the datagram that may pass arrives")
        ears[PROBE].sync()
        return not ears[PROBE].with_data(nonce)

    def tcp(self, dst, timeout=10, dev=None, mark=None, src=None):
        """A connected socket."""
        s = self.near.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            s.settimeout(timeout)
            if dev:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE,
                             dev.encode())
            if mark is not None:
                s.setsockopt(socket.SOL_SOCKET, 36, mark)
            if src:
                s.bind(src)
            s.connect(dst)
            return s
        except BaseException:
            s.close()
            raise

    def ping(self, dst=FAR, count=1, *options, wait=3, check=None):
        """How many replies ping saw."""
        r = self.near.run(["ping", "-n", "-q", "-c", count, "-i", "0.1", "-W",
                           wait, *options, dst], check=False,
                          timeout=count * wait + 15)
        m = re.search(r"(\d+) received", r.stdout)
        got = int(m.group(1)) if m else 0
        if check is not None:
            assert got == check, r.stdout + r.stderr
        return got

    def settle(self, cap, port=FENCE):
        """Waits until what was sent before has been through, by every way:
        UDP to a port that every rule of the caller must let pass."""
        nonce = b"fence" + os.urandom(8)
        for dst, dev in ((GW0, None), (GW0, "up0"), (GW1, None), (GW1, "up1")):
            self.udp(nonce, (dst, port), dev=dev)
        cap.wait(lambda fs: len([f for f in fs if nonce in f.raw]) >= 4,
                 "the four fence packets pass")
        cap.sync()


def echo_once(sock, data=None):
    """Sends over a connection to an echo server, reads it back."""
    data = data or os.urandom(3000)
    sock.sendall(data)
    got = b""
    while len(got) < len(data):
        part = sock.recv(65536)
        assert part, "the connection ended early"
        got += part
    assert got == data
    return True


def sha256(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        for part in iter(lambda: f.read(1 << 20), b""):
            h.update(part)
    return h.hexdigest()


def random_file(path, size):
    with open("/dev/urandom", "rb") as r, open(path, "wb") as w:
        while size:
            size -= w.write(r.read(min(size, 1 << 20)))
    os.chmod(path, 0o644)
    return str(path)

