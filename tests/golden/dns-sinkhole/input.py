ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
host, far = "192.0.2.2", "198.51.100.7"
server = "192.0.2.53"


def ask(i, name, qtype="A", **kw):
    return (ether / IP(src=host, dst=server, id=i) / UDP(sport=40000 + i, dport=53)
            / DNS(id=i, rd=1, qd=DNSQR(qname=name, qtype=qtype), **kw))


packets = [
    ask(1, "www.example.com"),
    ask(2, "EXAMPLE.com"),
    ask(3, "example.com", "AAAA"),
    ask(4, "notexample.com"),
    ask(5, "a.test"),
    ask(6, "example.com", qr=1, ra=1),  # an answer is no question
    ether / IP(src=host, dst=server, id=7) / UDP(sport=40007, dport=53) / b"nonsense",
]
