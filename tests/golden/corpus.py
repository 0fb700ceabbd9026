#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""corpus.py SLUICE FOLDER: see corpus.sh. What is right is scapy's to say."""

import concurrent.futures
import json
import logging
import os
import struct
import subprocess
import sys
import tempfile

logging.getLogger("scapy").setLevel(logging.CRITICAL)

from scapy.all import IP, RawPcapReader, Scapy_Exception  # noqa: E402
from scapy.utils import checksum  # noqa: E402

ICMP, TCP, UDP = 1, 6, 17
# scapy reads no more of a frame than it is asked for; libpcap's limit.
FRAME_MAX = 262144
# Full dissections a capture; the rest is summed by scapy without one.
DISSECTED = 4
COOKED, COOKED2, RAW = 113, 276, (12, 101, 228)
IPV4, TAGS = 0x0800, (0x8100, 0x88a8, 0x9100)


def frames(path):
    """([(time, bytes)] of what scapy can read, the link type). A frame that
    is longer than its file says any can be is cut, as libpcap does."""
    found, linktype = [], None
    try:
        reader = RawPcapReader(path)
        nano = getattr(reader, "nano", False)
        while True:
            data, meta = reader._read_packet(FRAME_MAX)
            linktype, most = getattr(meta, "linktype", None), None
            if linktype is None:
                linktype, most = reader.linktype, reader.snaplen
            elif len(reader.interfaces) == 1:
                most = reader.interfaces[0][1]
            time = None
            if hasattr(meta, "sec"):
                time = (meta.sec, meta.usec * (1 if nano else 1000))
                if time[1] >= 1000000000:  # nonsense has no right reading
                    time = None
            found.append((time, bytes(data[:most or FRAME_MAX])))
    except (Scapy_Exception, EOFError, struct.error, OSError, KeyError,
            ValueError, AttributeError, IndexError):
        pass
    return found, linktype


def ip_offset(linktype, data):
    """Where the IPv4 packet begins; None: there is none."""
    if linktype in RAW:
        return 0
    if linktype == 1:
        off, kind = 14, data[12:14]
    elif linktype == COOKED:
        off, kind = 16, data[14:16]
    elif linktype == COOKED2:
        off, kind = 20, data[0:2]
    else:
        return None
    while int.from_bytes(kind, "big") in TAGS:
        kind = data[off + 2:off + 4]
        off += 4
    return off if int.from_bytes(kind, "big") == IPV4 else None


def packet_of(linktype, data):
    """(the bytes of a whole, unfragmented IPv4 packet, of its header)."""
    off = ip_offset(linktype, data)
    if off is None or len(data) < off + 20 or data[off] >> 4 != 4:
        return None, 0
    header = (data[off] & 15) * 4
    total, _, fragment = struct.unpack_from(">HHH", data, off + 2)
    if header < 20 or total < header or off + total > len(data) or \
            fragment & 0x3fff:
        return None, 0
    return data[off:off + total], header


def wrong(packet, header):
    """What scapy's sums find wrong with a packet, or None."""
    proto, body = packet[9], packet[header:]
    if checksum(packet[:header]):
        return "IP checksum"
    if proto == ICMP and len(body) >= 8:
        return "ICMP checksum" if checksum(body) else None
    pseudo = packet[12:20] + struct.pack(">BBH", 0, proto, len(body))
    if proto == UDP and len(body) >= 8:
        length, stored = struct.unpack_from(">HH", body, 4)
        if length != len(body):
            return "UDP length"
        return "UDP checksum" if stored and checksum(pseudo + body) else None
    if proto == TCP and len(body) >= 20:
        offset = (body[12] >> 4) * 4
        if offset < 20 or offset > len(body):
            return "TCP data offset"
        return "TCP checksum" if checksum(pseudo + body) else None
    return None


def rebuilt(packet):
    """True where scapy, asked for lengths and checksums, makes the same."""
    p = IP(packet)
    proto = p.payload
    if p.proto not in (ICMP, TCP, UDP) or type(proto).__name__ not in (
            "ICMP", "TCP", "UDP"):
        return True
    zero = p.proto == UDP and proto.chksum == 0
    rest = bytes(proto.payload)
    q = p.copy()
    q.payload.remove_payload()
    q.payload.add_payload(rest)
    for layer, fields in ((q, ("len", "chksum")), (q.payload, ("chksum",))):
        for field in fields:
            layer.delfieldval(field)
    if p.proto == UDP:
        q.payload.delfieldval("len")
        if zero:
            q.payload.chksum = 0
    return bytes(q) == packet


class Corpus:
    def __init__(self, sluice, folder, scratch):
        self.sluice, self.folder, self.scratch = sluice, folder, scratch
        self.here = os.path.dirname(os.path.abspath(__file__))
        self.count = dict.fromkeys((
            "captures", "refused", "cut off", "unread", "frames", "judged",
            "dissected", "changed"), 0)
        self.faults = []

    def fault(self, path, what):
        self.faults.append("%s: %s" % (os.path.relpath(path, self.folder),
                                       what))

    def replay(self, number, path, rule):
        out = os.path.join(self.scratch, "%s.%u" % (rule, number))
        r = subprocess.run(
            [self.sluice, "replay", os.path.join(self.here, rule), path,
             "-w", out, "--json", "--explain"], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        try:
            for line in r.stdout.splitlines():
                json.loads(line)
        except ValueError:
            self.fault(path, "no JSON: %r" % line)
        return out, r.returncode, r.stderr.decode(errors="replace")

    def both(self, job):
        number, path = job
        return (path, self.replay(number, path, "corpus-same.lua"),
                self.replay(number, path, "corpus-fields.lua"))

    def check(self, path, same, fields):
        self.count["captures"] += 1
        for out, status, said in (same, fields):
            if status not in (0, 1) or "Sanitizer" in said or \
                    "runtime error" in said or " 0 errors in rules" not in \
                    said and os.path.exists(out):
                self.fault(path, "status %d: %s" % (status, said[-2000:]))
                return
        out, status, said = same
        if not os.path.exists(out):
            self.count["refused"] += 1
            if status != 1 or said.count("\n") != 1:
                self.fault(path, "no output, status %d: %s" % (status, said))
            return
        self.count["cut off"] += status
        before, linktype = frames(path)
        after, _ = frames(out)
        changed, _ = frames(fields[0])
        self.compare(path, before, after)
        if len(changed) != len(after):
            self.fault(path, "%u frames became %u" % (len(after),
                                                      len(changed)))
        for i, ((_, a), (_, b)) in enumerate(zip(after, changed)):
            self.judge(path, i, linktype, a, b)
        for name in (out, fields[0]):
            os.unlink(name)

    def compare(self, path, before, after):
        # Some files only libpcap can read, with formats of its own.
        if len(before) < len(after):
            self.count["unread"] += 1
        elif len(before) > len(after):
            self.fault(path, "%u frames became %u" % (len(before),
                                                      len(after)))
        for i, (a, b) in enumerate(zip(before, after)):
            self.count["frames"] += 1
            if a[1] != b[1] or a[0] not in (None, b[0]):
                self.fault(path, "frame %u is not the same" % (i + 1))

    def judge(self, path, i, linktype, before, after):
        packet, header = packet_of(linktype, before)
        if packet is None or wrong(packet, header):
            return
        self.count["judged"] += 1
        packet, header = packet_of(linktype, after)
        if packet is None:
            self.fault(path, "frame %u is no packet any more" % (i + 1))
            return
        self.count["changed"] += before != after
        what = wrong(packet, header)
        if packet[8] != 77 or packet[12:20] != bytes((203, 0, 113, 5, 203, 0,
                                                      113, 6)):
            what = "not written"
        if not what and i < DISSECTED:
            self.count["dissected"] += 1
            what = None if rebuilt(packet) else "scapy makes another"
        if what:
            self.fault(path, "frame %u: %s: %s" % (i + 1, what,
                                                   packet.hex()))


def main():
    sluice, folder = sys.argv[1:3]
    paths = sorted(os.path.join(base, name)
                   for base, _, names in os.walk(folder) for name in names
                   if name.endswith((".pcap", ".pcapng", ".cap", ".trace")))
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Corpus(sluice, folder, scratch)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for result in pool.map(corpus.both, enumerate(paths)):
                corpus.check(*result)
    for fault in corpus.faults[:20]:
        print("corpus:", fault)
    print("corpus:", ", ".join("%u %s" % (n, what)
                               for what, n in corpus.count.items()))
    if not corpus.count["frames"] or not corpus.count["judged"]:
        print("corpus: nothing in %s could be judged" % folder)
        return 1
    print("corpus: %u faults" % len(corpus.faults))
    return 1 if corpus.faults else 0


sys.exit(main())
