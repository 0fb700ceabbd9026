# SPDX-License-Identifier: GPL-2.0-or-later
"""A tunnel set up as wg-quick does: a WireGuard where the kernel has one,
else a TUN whose packets travel in UDP from a marked socket."""
import fcntl
import os
import socket
import struct
import threading

from net import kernel_can

MARK = 0xca6c
PORT = 51820
INNER_NEAR, INNER_FAR = "10.200.0.1", "10.200.0.2"


class TunEnd:
    """One end of the stand-in."""

    def __init__(self, ns, dev, addr, port, peer=None, mark=None):
        with ns.entered():
            self.fd = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(self.fd, 0x400454ca, struct.pack(
                "16sH22x", dev.encode(), 0x1001))  # TUNSETIFF TUN|NO_PI
        self.sock = ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if mark:
            self.sock.setsockopt(socket.SOL_SOCKET, 36, mark)
        self.sock.bind(("0.0.0.0", port))
        self.sock.settimeout(0.2)
        self.peer, self.sent, self._stop = peer, 0, False
        ns.ip("addr add %s/24 dev %s\nlink set %s mtu 1420 up" % (
            addr, dev, dev))
        os.set_blocking(self.fd, False)
        self._threads = [threading.Thread(target=f, daemon=True)
                         for f in (self._out, self._in)]
        for t in self._threads:
            t.start()

    def _out(self):
        import select
        while not self._stop:
            try:
                if not select.select([self.fd], [], [], 0.2)[0]:
                    continue
                data = os.read(self.fd, 65535)
                if self.peer and data and data[0] >> 4 == 4:
                    self.sock.sendto(data, self.peer)
                    self.sent += 1
            except (OSError, ValueError):
                if self._stop:
                    return

    def _in(self):
        while not self._stop:
            try:
                data, peer = self.sock.recvfrom(65535)
                if self._stop:
                    return
                self.peer = self.peer or peer
                os.write(self.fd, data)
            except socket.timeout:
                continue
            except OSError:
                if self._stop:
                    return

    def close(self):
        self._stop = True
        for t in self._threads:
            t.join(2)
        self.sock.close()
        os.close(self.fd)


class Tunnel:
    """near's default route by wg0 to endpoint, in far."""

    def __init__(self, host, endpoint):
        self.ends = []
        self.real = kernel_can("wireguard")
        if self.real:
            self._wireguard(host, endpoint)
        else:
            self.ends.append(TunEnd(host.far, "wgf", INNER_FAR, PORT))
            self.ends.append(TunEnd(host.near, "wg0", INNER_NEAR, PORT,
                                    (endpoint, PORT), MARK))
        # What wg-quick's add_default says.
        host.near.ip("""
            route add default dev wg0 table %d
            rule add not fwmark %d table %d
            rule add table main suppress_prefixlength 0
            """ % (PORT, MARK, PORT))

    @staticmethod
    def _wireguard(host, endpoint):
        key = {}
        for side in ("near", "far"):
            secret = host.run(["wg", "genkey"]).stdout
            key[side] = (host.file(side + ".key", secret),
                         host.run(["wg", "pubkey"], input=secret
                                  ).stdout.strip())
        for ns, dev, side, other, addr in (
                (host.far, "wgf", "far", "near", INNER_FAR),
                (host.near, "wg0", "near", "far", INNER_NEAR)):
            ns.ip("link add %s type wireguard" % dev)
            ns.run(["wg", "set", dev, "listen-port", PORT, "private-key",
                    key[side][0], "peer", key[other][1], "allowed-ips",
                    "0.0.0.0/0"] + (["endpoint", "%s:%d" % (endpoint, PORT)]
                                    if side == "near" else []))
            if side == "near":
                ns.run(["wg", "set", dev, "fwmark", hex(MARK)])
            ns.ip("addr add %s/24 dev %s\nlink set %s mtu 1420 up" % (
                addr, dev, dev))

    def close(self):
        for e in self.ends:
            e.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


