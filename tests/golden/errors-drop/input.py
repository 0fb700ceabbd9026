ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
host, far = "192.0.2.2", "198.51.100.7"
packets = [ether / IP(src=host, dst=far, id=i) / UDP(sport=1, dport=i) / b"hi" for i in range(1, 26)]
