host, far = "192.0.2.2", "198.51.100.7"
cooked = CookedLinux(pkttype=4, src=b"\2\0\0\0\0\1\0\0")
# Options before and behind the MSS; one small enough; none; not a SYN.
packets = [
    cooked / IP(src=host, dst=far, id=1) / TCP(sport=1, dport=80, flags="S", options=[("MSS", 1460)]),
    cooked / IP(src=host, dst=far, id=2) / TCP(sport=2, dport=80, flags="SA",
        options=[("NOP", None), ("MSS", 8960), ("SAckOK", b""), ("WScale", 7)]),
    cooked / IP(src=host, dst=far, id=3) / TCP(sport=3, dport=80, flags="S", options=[("MSS", 536)]),
    cooked / IP(src=host, dst=far, id=4) / TCP(sport=4, dport=80, flags="S"),
    cooked / IP(src=host, dst=far, id=5) / TCP(sport=5, dport=80, flags="A", options=[("MSS", 1460)]),
]
