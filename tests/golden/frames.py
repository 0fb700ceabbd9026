#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Captures for the golden tests, and what is in one, by scapy.

frames.py make FOLDER CASE...   CASE/input.py, a list `packets` of scapy
                                packets, becomes FOLDER/CASE.pcap; a packet
                                without a time is a second after the last
frames.py dump FILE...          FILE.frames: time and bytes of each frame
"""

import logging
import os
import sys

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)

from scapy.all import RawPcapReader, wrpcap  # noqa: E402
import scapy.all  # noqa: E402

START = 1_700_000_000


def make(folder, cases):
    for case in cases:
        names = {n: getattr(scapy.all, n) for n in dir(scapy.all)}
        with open(os.path.join(case, "input.py")) as f:
            exec(compile(f.read(), f.name, "exec"), names)
        packets = names["packets"]
        for i, p in enumerate(packets):
            # scapy notes when it made a packet: a time of ours is small.
            p.time = START + (p.time if p.time < START / 2 else i)
        name = os.path.basename(os.path.normpath(case))
        wrpcap(os.path.join(folder, name + ".pcap"), packets)


def dump(path):
    reader = RawPcapReader(path)
    unit = 9 if reader.nano else 6
    with open(path + ".frames", "w") as f:
        for data, meta in reader:
            print("%d.%0*d %s" % (meta.sec - START, unit, meta.usec,
                                  data.hex()), file=f)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], sys.argv[3:])
    else:
        for name in sys.argv[2:]:
            dump(name)
