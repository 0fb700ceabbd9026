host, far = "192.0.2.2", "198.51.100.7"
packets = [IP(src=host, dst=far, id=i) / ICMP(id=7, seq=i) / b"abc" for i in range(1, 5)]
packets += [IP(src=host, dst=far, id=i) / UDP(sport=40000, dport=7) / b"hello" for i in (5, 6)]
for p, t in zip(packets, (0, 0.5, 0.6, 3600, 3601, 3602)):
    p.time = t
