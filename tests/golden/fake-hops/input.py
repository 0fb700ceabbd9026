ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
host, far = "192.0.2.2", "198.51.100.7"
packets = [ether / IP(src=host, dst="198.51.100.9", id=i, ttl=i) / UDP(sport=40000, dport=33433 + i) / b"probe"
           for i in range(1, 6)]
packets += [
    ether / IP(src=host, dst="198.51.100.9", id=6, ttl=2) / ICMP(id=7, seq=1) / b"abc",
    ether / IP(src=host, dst="198.51.100.9", id=7, ttl=64) / ICMP(id=7, seq=2) / b"abc",
    ether / IP(src=host, dst="198.51.100.9", id=8, ttl=64) / TCP(sport=30732, dport=80),
]
