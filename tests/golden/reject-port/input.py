ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
host, far = "192.0.2.2", "198.51.100.7"
packets = [
    ether / IP(src=host, dst=far, id=1) / TCP(sport=30732, dport=25, flags="S", seq=1000),
    ether / IP(src=host, dst=far, id=2) / TCP(sport=30732, dport=25, flags="PA", seq=1000, ack=5) / b"EHLO",
    ether / IP(src=host, dst=far, id=3) / UDP(sport=5353, dport=25) / b"hello",
    ether / IP(src=host, dst=far, id=4) / TCP(sport=30732, dport=443, flags="S"),
    # A RST is not answered by a RST.
    ether / IP(src=host, dst=far, id=5) / TCP(sport=30732, dport=25, flags="R", seq=1000),
]
