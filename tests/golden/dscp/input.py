ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
host, far = "192.0.2.2", "198.51.100.7"
packets = [
    ether / IP(src=host, dst=far, id=1, tos=0x03) / UDP(sport=5060, dport=5060) / b"INVITE",
    ether / IP(src=host, dst=far, id=2) / UDP(sport=5060, dport=5061) / b"INVITE",
    ether / IP(src=host, dst=far, id=3, tos=0x88) / TCP(sport=30732, dport=5060),
    ether / IP(src=host, dst=far, id=4) / ICMP(id=7, seq=1),
]
