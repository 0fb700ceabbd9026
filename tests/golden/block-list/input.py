ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
host, far = "192.0.2.2", "198.51.100.7"
packets = [
    ether / IP(src=host, dst="198.51.100.8", id=1) / ICMP(id=7, seq=1),
    ether / IP(src=host, dst="198.51.100.9", id=2) / ICMP(id=7, seq=2),
    ether / IP(src=host, dst="198.51.100.200", id=3) / TCP(sport=30732, dport=80),
    ether / IP(src=host, dst="203.0.113.1", id=4) / ICMP(id=7, seq=3),
    # Nobody is told of an ICMP error or a later fragment.
    ether / IP(src=host, dst="198.51.100.8", id=5) / ICMP(type=3, code=1)
        / IP(src="198.51.100.8", dst=host, id=6) / UDP(sport=1, dport=2),
    ether / IP(src=host, dst="198.51.100.8", id=7, frag=4, proto=17) / b"fragment",
]
