host, far = "192.0.2.2", "198.51.100.7"
# Bare IP: a capture of tun0.
packets = [
    IP(src=host, dst=far, id=1) / ICMP(id=7, seq=1) / b"abcdefgh",
    IP(src=host, dst=far, id=2) / ICMP(type="echo-reply", id=7, seq=2) / b"abc",
    IP(src=host, dst=far, id=3) / UDP(sport=1, dport=7) / b"echo",
]
