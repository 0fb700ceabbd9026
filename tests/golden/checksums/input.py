ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
host, far = "192.0.2.2", "198.51.100.7"
twins = [
    IP(src=host, dst=far, id=1) / UDP(sport=1, dport=2) / b"even",
    IP(src=host, dst=far, id=2) / UDP(sport=1, dport=2) / b"odd",
    IP(src=host, dst=far, id=3) / TCP(sport=1, dport=2, flags="S", options=[("MSS", 1460)]),
    IP(src=host, dst=far, id=4) / TCP(sport=1, dport=2, flags="PA") / b"data.",
    IP(src=host, dst=far, id=5) / ICMP(id=7, seq=1),
    IP(src=far, dst=host, id=6) / ICMP(type=3, code=1) / IP(src=host, dst=far) / UDP(sport=1, dport=2),
    IP(src=host, dst=far, id=7, options=[IPOption(b"\x94\x04\0\0")]) / UDP(sport=1, dport=2) / b"alert",
]
packets = []
for p in twins:
    good = IP(bytes(p))
    packets.append(ether / good)
    # A bit of the checksum of the transport, then of the IP header.
    bad = good.copy()
    bad.payload.chksum ^= 1
    packets.append(ether / bad)
    bad = good.copy()
    bad.chksum ^= 0x8000
    packets.append(ether / bad)
# What looks wrong and is not: a datagram without a checksum, padding behind the
# packet, a fragment, and a protocol that has no checksum we know.
packets += [
    ether / IP(src=host, dst=far, id=8) / UDP(sport=1, dport=2, chksum=0) / b"none",
    ether / IP(src=host, dst=far, id=9) / UDP(sport=1, dport=2) / b"!" / Padding(b"\xff" * 17),
    ether / IP(src=host, dst=far, id=10, flags="MF") / UDP(sport=1, dport=2, len=1000, chksum=5) / (b"x" * 24),
    ether / IP(src=host, dst=far, id=10, frag=4) / (b"y" * 24),
    ether / IP(src=host, dst=far, id=11, proto=50) / b"\1\2\3\4\5\6\7\10",
]
