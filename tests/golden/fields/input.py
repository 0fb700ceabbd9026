ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
host, far = "192.0.2.2", "198.51.100.7"
packets = [
    ether / IP(src=host, dst=far, id=1) / TCP(sport=1, dport=2, flags="S", seq=5, options=[("MSS", 1460), ("WScale", 7)]),
    ether / IP(src=host, dst=far, id=2) / UDP(sport=1, dport=2) / b"hello",
    ether / IP(src=host, dst=far, id=3) / ICMP(id=7, seq=1) / b"abc",
    ether / IP(src=far, dst=host, id=4) / ICMP(type=3, code=4, nexthopmtu=1400)
        / IP(src=host, dst=far, id=5) / UDP(sport=1, dport=2),
    ether / IP(src=far, dst=host, id=6) / ICMP(type=5, code=1, gw="192.0.2.1")
        / IP(src=host, dst=far, id=7) / UDP(sport=1, dport=2),
]
