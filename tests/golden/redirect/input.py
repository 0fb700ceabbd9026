ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
host, far = "192.0.2.2", "198.51.100.7"
back = Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01")
packets = [
    ether / IP(src=host, dst="203.0.113.1", id=1) / TCP(sport=30732, dport=80, flags="S"),
    back / IP(src="198.51.100.9", dst=host, id=2) / TCP(sport=8080, dport=30732, flags="SA"),
    ether / IP(src=host, dst="203.0.113.1", id=3) / TCP(sport=30732, dport=443, flags="S"),
    # Not what the host itself sends to that port.
    back / IP(src="203.0.113.1", dst=host, id=4) / TCP(sport=80, dport=30732, flags="SA"),
    ether / IP(src=host, dst="203.0.113.1", id=5) / UDP(sport=30732, dport=80) / b"quic",
]
