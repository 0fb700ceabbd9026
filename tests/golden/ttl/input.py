ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
host, far = "192.0.2.2", "198.51.100.7"
# The last one has that TTL already.
packets = [
    ether / IP(src=host, dst=far, id=1, ttl=63) / TCP(sport=30732, dport=80),
    ether / IP(src=host, dst=far, id=2, ttl=255) / ICMP(id=7, seq=1) / b"abc",
    ether / IP(src=host, dst=far, id=3, ttl=9) / UDP(sport=5353, dport=53) / b"hello",
]
