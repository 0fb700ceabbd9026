ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
host, far = "192.0.2.2", "198.51.100.7"
# One of everything, VLAN tags and padding among them; ARP and IPv6 pass.
packets = [
    ether / IP(src=host, dst=far, id=1) / TCP(sport=30732, dport=80, flags="PA", seq=7) / b"GET /",
    ether / ARP(psrc=host, pdst="192.0.2.1", hwsrc="02:00:00:00:00:01"),
    ether / Dot1Q(vlan=7) / IP(src=host, dst=far, id=2) / ICMP(id=7, seq=1) / b"abc",
    ether / IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=1, dport=2),
    ether / IP(src=host, dst=far, id=3) / UDP(sport=5353, dport=53) / b"hi" / Padding(b"\0" * 16),
    ether / IP(src=host, dst=far, id=4, proto=47) / b"\0\0\x08\0",
    ether / IP(src=host, dst=far, id=5, flags="MF", proto=17) / (b"\x30\x39\0\x35\0\x18\0\0" + b"x" * 8),
    ether / IP(src=host, dst=far, id=5, frag=2, proto=17) / (b"y" * 8),
    Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=0x800) / Raw(b"\x45\0\0\x13 cut off header"),
]
