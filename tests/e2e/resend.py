# SPDX-License-Identifier: GPL-2.0-or-later
"""Sends the packets of a capture file again, one by one: the next when the
one before has been shown. Knows no scapy, and runs by itself as the command of
a lab:

resend.py route|wire DEVICE CAPTURE EVENTS   EVENTS: where the audit goes
"""
import os
import socket
import struct
import sys
import time

PATIENCE = float(os.environ.get("SLUICE_TEST_PATIENCE", "1"))
ETH_P_IP = b"\x08\x00"
IP_NODEFRAG = 22


def frames(path):
    """The frames of a capture as scapy writes it: pcap, microseconds."""
    with open(path, "rb") as f:
        data = f.read()
    assert struct.unpack_from("<I", data)[0] == 0xa1b2c3d4, path
    at, found = 24, []
    while at < len(data):
        n = struct.unpack_from("<I", data, at + 8)[0]
        found.append(data[at + 16:at + 16 + n])
        at += 16 + n
    return found


def by_route(frame):
    """By a raw socket: the kernel routes it, and fills in the length and the
    checksum of the IP header."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW,
                       socket.IPPROTO_RAW) as s:
        s.setsockopt(socket.IPPROTO_IP, IP_NODEFRAG, 1)
        s.sendto(frame[14:], (socket.inet_ntoa(frame[30:34]), 0))


def by_wire(frame, device):
    """By a packet socket: every byte as it is."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as s:
        s.bind((device, 0))
        s.send(frame)


class Shown:
    """The events of an audit: waits for the one of packet number n, whose
    note the rules have begun with "#n "."""

    def __init__(self, path):
        self.path, self.at, self.text = path, 0, ""

    def wait(self, n, seconds=20):
        want, end = '"note":"#%d ' % n, time.monotonic() + seconds * PATIENCE
        while True:
            with open(self.path, errors="replace") as f:
                f.seek(self.at)
                self.text += f.read()
                self.at = f.tell()
            if want in self.text:
                self.text = self.text[self.text.index(want) + len(want):]
                return
            assert time.monotonic() < end, "packet %d was not shown" % n
            time.sleep(0.002)


def main(how, device, capture, events):
    shown = Shown(events)
    for n, frame in enumerate(frames(capture), 1):
        if how == "route":
            by_route(frame)
        else:
            by_wire(frame, device)
        shown.wait(n)


if __name__ == "__main__":
    main(*sys.argv[1:])
