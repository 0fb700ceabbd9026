ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
host, far = "192.0.2.2", "198.51.100.7"
# With padding behind, which has to come back as well.
packets = [
    ether / IP(src=host, dst=far, id=1) / UDP(sport=1, dport=2) / b"hi" / Padding(bytes(range(16))),
    ether / Dot1Q(vlan=5) / IP(src=host, dst=far, id=2) / UDP(sport=1, dport=3) / b"hello",
    ether / IP(src=host, dst=far, id=3) / TCP(sport=1, dport=3) / b"hello",
    ether / IP(src=host, dst=far, id=4) / ICMP(id=1, seq=2) / b"hello",
]
