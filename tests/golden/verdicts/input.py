ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
host, far = "192.0.2.2", "198.51.100.7"
# The port says what is to become of it.
packets = [ether / IP(src=host, dst=far, id=i) / UDP(sport=40000, dport=i) / b"hello"
           for i in range(1, 10)]
