ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
host, far = "192.0.2.2", "198.51.100.7"
packets = [
    ether / IP(src=host, dst=far, id=1) / UDP(sport=1, dport=2) / b"one",
    ether / IP(src=host, dst=far, id=2) / ICMP(id=7, seq=1) / b"ping",
    ether / IP(src=host, dst=far, id=3) / TCP(sport=1, dport=2, flags="S"),
    ether / Dot1Q(vlan=5) / IP(src=host, dst=far, id=4) / UDP(sport=1, dport=2) / b"tagged",
]
