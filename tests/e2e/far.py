# SPDX-License-Identifier: GPL-2.0-or-later
"""The far side: captures by tcpdump read with scapy, and small servers."""
import collections
import contextlib
import os
import socket
import struct
import subprocess
import threading
import time

from scapy.layers.l2 import Ether
from scapy.layers.inet import IP

from net import wait_for

FENCE_TYPE = 0x88b5  # local experimental: no IP filter takes it
ETH_P_ALL = 3


class Frame:
    """One captured frame: where, when, its bytes; scapy's view on demand."""

    def __init__(self, dev, when, raw):
        self.dev, self.when, self.raw = dev, when, raw
        self._pkt = None

    @property
    def pkt(self):
        if self._pkt is None:
            self._pkt = Ether(self.raw)
        return self._pkt

    @property
    def ip(self):
        return self.pkt.getlayer(IP)

    def __repr__(self):
        return "%s %s" % (self.dev, self.pkt.summary())


class _Dump:
    """One tcpdump on one device, its file read as it grows."""

    def __init__(self, ns, dev, path, direction, snaplen, expr):
        self.dev, self.path = dev, path
        self.log = open(path + ".log", "w+")
        self.proc = ns.popen(
            ["tcpdump", "-i", dev, "-Q", direction, "-n", "-U", "-Z", "root",
             "--immediate-mode", "-B", "16384", "-s", snaplen, "-w", path,
             "ether proto 0x88b5 or (%s)" % expr],
            stdout=subprocess.DEVNULL, stderr=self.log)
        self.at = 24
        self.rest = b""

    def started(self):
        if self.proc.poll() is not None:
            with open(self.path + ".log") as f:
                raise AssertionError("tcpdump: " + f.read())
        with open(self.path + ".log") as f:
            return "listening on" in f.read()

    def read(self):
        frames = []
        try:
            with open(self.path, "rb") as f:
                f.seek(self.at)
                data = f.read()
        except FileNotFoundError:
            return frames
        o = 0
        while o + 16 <= len(data):
            sec, usec, n, _ = struct.unpack_from("=IIII", data, o)
            if o + 16 + n > len(data):
                break
            frames.append(Frame(self.dev, sec + usec / 1e6,
                                data[o + 16:o + 16 + n]))
            o += 16 + n
        self.at += o
        return frames

    def stop(self):
        self.proc.terminate()
        self.proc.wait(10)
        self.log.close()


class Capture:
    """with far.capture() as cap: ...; then cap.frames.

    A capture ends behind a fence: a frame that is no IP, sent by the near
    side on each link, so that nothing sent before is missed. peers maps our
    device to (namespace, device) of the other end.
    """

    def __init__(self, ns, peers, tmp, direction="in", snaplen=262144,
                 expr="ip"):
        self.ns, self.peers = ns, peers
        self.frames, self._fences = [], set()
        self._tmp, self._direction = tmp, direction
        self._snaplen, self._expr = snaplen, expr
        self._dumps = []

    def __enter__(self):
        for dev in self.peers:
            path = os.path.join(self._tmp, "%s-%s-%d.pcap" % (
                self.ns.name, dev, time.monotonic_ns()))
            self._dumps.append(_Dump(self.ns, dev, path, self._direction,
                                     self._snaplen, self._expr))
        for d in self._dumps:
            wait_for(d.started, "tcpdump listens on " + d.dev)
        return self

    def poll(self):
        """Takes in what came since; all frames so far."""
        for d in self._dumps:
            for f in d.read():
                if f.raw[12:14] == b"\x88\xb5":
                    self._fences.add((f.dev, f.raw[14:22]))
                else:
                    self.frames.append(f)
        return self.frames

    def sync(self):
        """Waits until all that was on the link before is in frames."""
        nonce = os.urandom(8)
        want = set()
        for dev, (ns, peer) in self.peers.items():
            sender = (self.ns, dev) if self._direction == "out" else (ns, peer)
            if not send_frame(sender[0], sender[1], b"\xff" * 6 + b"\x02" * 6
                              + struct.pack("!H", FENCE_TYPE) + nonce,
                              missing_ok=True):
                continue
            want.add((dev, nonce))
        wait_for(lambda: self.poll() is not None and want <= self._fences,
                 "the fence arrives at the capture")
        return self.frames

    def wait(self, cond, what, timeout=10):
        """Polls until cond(frames)."""
        return wait_for(lambda: cond(self.poll()),
                        lambda: "%s; captured:\n%s" % (what, "\n".join(
                            map(repr, self.frames[:40]))), timeout)

    def __exit__(self, *exc):
        try:
            if exc[0] is None:
                self.sync()
        finally:
            for d in self._dumps:
                d.stop()

    def with_bytes(self, needle):
        return [f for f in self.frames if needle in f.raw]

    def pcap_paths(self):
        return [d.path for d in self._dumps]


def send_frame(ns, dev, frame, missing_ok=False):
    """Sends one Ethernet frame by a packet socket."""
    s = ns.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        s.bind((dev, 0))
        s.send(frame)
        return True
    except OSError:
        if missing_ok:
            return False
        raise
    finally:
        s.close()


# ---- servers: threads of the test, sockets in the namespace -----------------

class Server:
    """Base: accepts or receives in a thread until closed."""

    kind = socket.SOCK_STREAM

    def __init__(self, ns, addr, port, family=socket.AF_INET):
        self._stop = False
        self.ns = ns
        self.sock = ns.socket(family, self.kind)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.setup()
        self.sock.bind((addr, port))
        if self.kind == socket.SOCK_STREAM:
            self.sock.listen(64)
        self.sock.settimeout(0.2)
        self.port = self.sock.getsockname()[1]
        self.peers = []
        self._threads = [threading.Thread(target=self._loop, daemon=True)]
        self._threads[0].start()

    def setup(self):
        pass

    def receive(self):
        return self.sock.recvfrom(65535)

    def _loop(self):
        while not self._stop:
            try:
                if self.kind == socket.SOCK_STREAM:
                    c, peer = self.sock.accept()
                    self.peers.append(peer)
                    c.settimeout(60)
                    t = threading.Thread(target=self._serve, args=(c,),
                                         daemon=True)
                    t.start()
                    self._threads.append(t)
                else:
                    data, peer = self.receive()
                    self.peers.append(peer)
                    self.datagram(data, peer)
            except socket.timeout:
                continue
            except OSError:
                return

    def _serve(self, c):
        try:
            self.connection(c)
        except OSError:
            pass
        finally:
            c.close()

    def close(self):
        self._stop = True
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._threads[0].join(2)
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class EchoServer(Server):
    def connection(self, c):
        while True:
            data = c.recv(65536)
            if not data:
                return
            c.sendall(data)


class HelloServer(Server):
    """Says a line to whoever connects; tells servers apart."""

    def __init__(self, ns, addr, port, line=b"hello\n"):
        self.line = line
        super().__init__(ns, addr, port)

    def connection(self, c):
        c.sendall(self.line)


class SinkServer(Server):
    """Reads until the end, remembers how much and its hash."""

    def __init__(self, ns, addr, port):
        import hashlib
        self.total, self.done = 0, 0
        self.digest = hashlib.sha256()
        super().__init__(ns, addr, port)

    def connection(self, c):
        while True:
            data = c.recv(1 << 18)
            if not data:
                self.done += 1
                return
            self.total += len(data)
            self.digest.update(data)


class HttpServer(Server):
    """Answers every GET with one file."""

    def __init__(self, ns, addr, port, path=None, body=b"hello\n"):
        self.path, self.body, self.requests = path, body, []
        super().__init__(ns, addr, port)

    def connection(self, c):
        req = b""
        while b"\r\n\r\n" not in req:
            data = c.recv(4096)
            if not data:
                return
            req += data
        self.requests.append(req)
        n = os.path.getsize(self.path) if self.path else len(self.body)
        c.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream"
                  b"\r\nContent-Length: %d\r\n\r\n" % n)
        if self.path:
            with open(self.path, "rb") as f:
                c.sendfile(f)
        else:
            c.sendall(self.body)


Datagram = collections.namedtuple("Datagram", "data peer ttl tos")


class UdpServer(Server):
    """Remembers what came, and its TTL; sends it back when echo is set."""

    kind = socket.SOCK_DGRAM

    def __init__(self, ns, addr, port, echo=True):
        self.got, self.echo = [], echo
        super().__init__(ns, addr, port)

    def setup(self):
        self.sock.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
        self.sock.setsockopt(socket.IPPROTO_IP, 13, 1)  # IP_RECVTOS

    def receive(self):
        data, extra, _, peer = self.sock.recvmsg(65535, 256)
        if self._stop:
            raise OSError
        ttl = tos = None
        for level, kind, value in extra:
            if level == socket.IPPROTO_IP and kind == socket.IP_TTL:
                ttl = int.from_bytes(value[:4], "little")
            elif level == socket.IPPROTO_IP and kind == socket.IP_TOS:
                tos = value[0]
        self.got.append(Datagram(data, peer, ttl, tos))
        return data, peer

    def with_data(self, data):
        return [d for d in self.got if d.data == data]

    def sync(self):
        """Waits until what had arrived before is in got: another server may
        be told of something later sooner."""
        nonce = b"sync" + os.urandom(8)
        addr, port = self.sock.getsockname()
        with self.ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(nonce, (addr, port))
        wait_for(lambda: self.with_data(nonce), "a datagram to itself arrives")

    def datagram(self, data, peer):
        if self.echo:
            self.sock.sendto(data, peer)


class DnsServer(Server):
    """Answers every A question with one address."""

    kind = socket.SOCK_DGRAM

    def __init__(self, ns, addr, port=53, answer="198.51.100.9"):
        self.names, self.answer = [], answer
        super().__init__(ns, addr, port)

    def datagram(self, data, peer):
        from scapy.layers.dns import DNS, DNSRR
        q = DNS(data)
        name = q.qd.qname
        self.names.append(name.decode())
        self.sock.sendto(bytes(DNS(
            id=q.id, qr=1, aa=1, rd=q.rd, ra=1, qd=q.qd,
            an=DNSRR(rrname=name, type="A", ttl=60, rdata=self.answer))), peer)
