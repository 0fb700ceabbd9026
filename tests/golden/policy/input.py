ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
host, far = "192.0.2.2", "198.51.100.7"
packets = [
    ether / IP(src=host, dst=far, id=1) / ICMP(id=1, seq=1),
    ether / IP(src=far, dst=host, id=2) / ICMP(type=0, id=1, seq=1),
    ether / IP(src=host, dst=far, id=3) / UDP(sport=1, dport=2),
]
