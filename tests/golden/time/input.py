ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
host, far = "192.0.2.2", "198.51.100.7"
packets = [ether / IP(src=host, dst=far, id=i) / UDP(sport=1, dport=2) / b"hi" for i in range(1, 6)]
for p, t in zip(packets, (0, 0.25, 2, 3.000001, 86400)):
    p.time = t
