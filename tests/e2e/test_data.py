# SPDX-License-Identifier: GPL-2.0-or-later
"""The data path: bytes, lengths and checksums on the wire."""
import os
import re
import socket
import struct

import pytest
from scapy.layers.inet import IP, TCP, UDP, ICMP, IPOption
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import checksum

from far import SinkServer, UdpServer, send_frame, HttpServer
from host import (DROP_ALL, FAR, FAR1, GW0, LOOK, NEAR0, THROUGH, echo_once,
                  random_file, sha256)
from far import EchoServer
from net import wait_for
from sluice import rule
from test_escape import mac

# auto is one of the two here; test_capture.py has the hosts where it matters.
every_way = pytest.mark.parametrize("way", ["route", "wire"])


# ---- isolation --------------------------------------------------------------

def status(pid):
    with open("/proc/%d/status" % pid) as f:
        return dict(l.rstrip("\n").split(":\t", 1) for l in f if ":\t" in l)


def test_the_worker_has_no_privileges(host, way):
    with host.sluice(LOOK, way=way) as s:
        worker = s.worker()
        st = status(worker)
        assert "0" not in st["Uid"].split()
        assert "0" not in st["Gid"].split()
        assert st["Groups"].strip() in ("", st["Gid"].split()[0])
        for caps in ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"):
            assert int(st[caps], 16) == 0, caps
        assert st["NoNewPrivs"] == "1"
        assert st["Seccomp"] == "2"


def test_the_worker_holds_no_netlink_and_no_directory(host, way):
    with host.sluice(LOOK, way=way) as s:
        worker = s.worker()
        fds = [os.readlink("/proc/%d/fd/%s" % (worker, n))
               for n in os.listdir("/proc/%d/fd" % worker)]
        assert not [f for f in fds if os.path.isdir(f)], fds
        assert [f for f in fds if "/dev/net/tun" in f], fds


# ---- untouched packets ------------------------------------------------------

def odd_packets():
    """(name, IP packet) that a host can send by a packet socket and that no
    rule touches: all must leave as they are."""
    ip = dict(src=NEAR0, dst=GW0, id=99)

    def fix(raw, **at):
        raw = bytearray(raw)
        for o, v in at.items():
            raw[int(o[1:])] = v
        return bytes(raw)
    udp = bytes(IP(**ip) / UDP(sport=9, dport=10) / Raw(b"odd packet"))
    tcp = bytes(IP(**ip) / TCP(sport=9, dport=10, seq=5) / Raw(b"odd packet"))
    frag = bytes(IP(frag=3, flags="MF", **ip) / Raw(b"middle of something"
                                                    b"12345"))
    return [
        ("ip_options_router_alert", bytes(IP(
            options=[IPOption(b"\x94\x04\x00\x00")], **ip) /
            UDP(sport=9, dport=10) / Raw(b"with options"))),
        ("ip_options_record_route", bytes(IP(
            options=[IPOption(b"\x07\x0b\x04" + b"\0" * 8)], **ip) /
            UDP(sport=9, dport=10) / Raw(b"with options"))),
        ("header_length_4", fix(udp, _0=0x44)),
        ("header_length_15_beyond_the_end", fix(bytes(
            IP(**ip) / Raw(b"short")), _0=0x4f)),
        ("version_5", fix(udp, _0=0x55)),
        ("total_length_beyond_the_end", fix(udp, _3=200)),
        ("total_length_0", fix(udp, _2=0, _3=0)),
        ("total_length_below_the_header", fix(udp, _3=10)),
        ("bytes_behind_the_end", udp + b"trailing bytes"),
        ("wrong_ip_checksum", fix(udp, _10=0x12)),
        ("wrong_udp_checksum", fix(udp, _26=0x12, _27=0x34)),
        ("udp_length_beyond_the_end", fix(udp, _25=200)),
        ("udp_length_below_its_header", fix(udp, _25=4)),
        ("udp_truncated", udp[:24]),
        ("tcp_truncated", tcp[:30]),
        ("tcp_data_offset_2", fix(tcp, _32=0x20)),
        ("tcp_data_offset_15_beyond_the_end", fix(tcp, _32=0xf0)),
        ("tcp_wrong_checksum", fix(tcp, _36=0x12, _37=0x34)),
        ("tcp_all_flags", fix(tcp, _33=0xff)),
        ("tcp_bad_option_length", bytes(IP(**ip) / TCP(
            sport=9, dport=10, dataofs=6) / Raw(b"\x02\x00\x00\x00odd"))),
        ("icmp_unknown_type", bytes(IP(**ip) / ICMP(type=77, code=9) /
                                    Raw(b"what"))),
        ("icmp_truncated", bytes(IP(proto=1, **ip) / Raw(b"\x08\x00"))),
        ("unknown_protocol", bytes(IP(proto=253, **ip) / Raw(b"what"))),
        ("protocol_0", bytes(IP(proto=0, **ip) / Raw(b"what"))),
        ("header_only", bytes(IP(proto=17, **ip))),
        ("a_middle_fragment", frag),
        ("a_last_fragment", bytes(IP(frag=9, **ip) / Raw(b"the end"))),
        ("a_fragment_of_8_bytes", bytes(IP(flags="MF", proto=6, **ip) /
                                        Raw(b"12345678"))),
        ("evil_bit", bytes(IP(flags="evil", **ip) / UDP() / Raw(b"evil"))),
        ("tos_all_ones", bytes(IP(tos=255, **ip) / UDP() / Raw(b"tos"))),
        ("ttl_0", bytes(IP(ttl=0, **ip) / UDP() / Raw(b"ttl"))),
        ("source_is_not_ours", bytes(IP(src="192.0.2.200", dst=GW0, id=99) /
                                     UDP() / Raw(b"whose"))),
        ("source_is_loopback", bytes(IP(src="127.0.0.1", dst=GW0, id=99) /
                                     UDP() / Raw(b"whose"))),
        ("source_is_0", bytes(IP(src="0.0.0.0", dst=GW0, id=99) / UDP() /
                              Raw(b"whose"))),
        ("destination_is_multicast", bytes(IP(src=NEAR0, dst="224.0.0.99",
                                              id=99) / UDP() / Raw(b"m"))),
    ]


ODD = odd_packets()


@pytest.fixture(scope="module", params=["route", "wire"])
def looking(request):
    """sluice that looks at all and touches nothing, and a capture."""
    from host import Host
    h = Host()
    try:
        s = h.sluice("""
            rule { name = "look", action = function(pkt)
                local _ = pkt.len, pkt.proto, pkt.src, pkt.way end }
            """, way=request.param)
        trouble = None
        try:
            s.start()
        except AssertionError as e:
            trouble = e
        with h.capture() as cap:
            yield h, cap, trouble
        if trouble:
            s.abandon()
        else:
            s.stop()
    finally:
        h.close()


@pytest.mark.parametrize("name,raw", ODD, ids=[n for n, _ in ODD])
def test_an_odd_packet_passes_untouched(looking, name, raw):
    h, cap, trouble = looking
    if trouble:
        raise AssertionError(str(trouble))
    frame = bytes(Ether(src=mac(h.near, "up0"), dst=mac(h.far, "fu0"),
                        type=0x800)) + raw
    start = len(cap.poll())
    send_frame(h.near, "up0", frame)
    h.settle(cap)
    got = [f.raw for f in cap.frames[start:] if len(f.raw) == len(frame)
           or b"fence" not in f.raw]
    assert got.count(frame) == 1, "sent %s\ngot %s" % (
        frame.hex(), "\n    ".join(g.hex() for g in got))


@every_way
def test_untouched_packets_are_byte_identical_on_the_wire(host, way):
    """What the kernel makes of the same writes, with and without sluice."""
    def talk():
        with host.capture() as cap:
            s = host.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind((NEAR0, 4000))
            for n in (0, 1, 100, 1472):
                s.sendto(b"I" * n, (FAR, 5000))
            s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0xb8)
            s.sendto(b"tos", (FAR, 5000))
            s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS,
                         b"\x94\x04\x00\x00")
            s.sendto(b"options", (FAR, 5000))
            s.close()
            host.settle(cap)
        return [f.raw for f in cap.frames if f.ip.dport == 5000]
    with UdpServer(host.far, FAR, 5000, echo=False):
        plain = talk()
        assert len(plain) == 6

        def same(raw):  # without the identification, counted by the kernel
            assert checksum(raw[14:14 + (raw[14] & 15) * 4]) == 0
            return raw[:18] + raw[20:24] + raw[26:]
        with host.sluice(LOOK, way=way):
            assert [same(r) for r in talk()] == [same(r) for r in plain]


@every_way
def test_a_tcp_stream_leaves_with_its_own_bytes(host, way):
    """Captured on both sides of the program: at the sender's socket side by
    its own bytes, at the far side by sequence number."""
    data = os.urandom(300000)
    with host.sluice(LOOK, way=way), SinkServer(host.far, FAR, 80) as sink, \
            host.capture(expr="tcp") as cap:
        c = host.tcp((FAR, 80))
        c.sendall(data)
        c.close()
        wait_for(lambda: sink.done, "the end", 20)
    syn = [f for f in cap.frames if f.ip[TCP].flags == "S"]
    base = syn[0].ip[TCP].seq + 1
    for f in cap.frames:
        t, body = f.ip[TCP], bytes(f.ip[TCP].payload)
        body = body[:f.ip.len - f.ip.ihl * 4 - t.dataofs * 4]
        o = (t.seq - base) & 0xffffffff
        if body:
            assert data[o:o + len(body)] == body
    assert_checksums(cap.frames)


def assert_checksums(frames):
    """Every sum on the wire is right, judged by scapy."""
    for f in frames:
        raw = f.raw[14:]
        ihl = (raw[0] & 15) * 4
        total = struct.unpack("!H", raw[2:4])[0]
        assert checksum(raw[:ihl]) == 0, "IP checksum: %r" % f
        if f.ip.frag or f.ip.flags.MF or f.ip.proto not in (1, 6, 17):
            continue
        body = raw[ihl:total]
        assert len(body) == total - ihl
        if f.ip.proto == 17 and body[6:8] == b"\0\0":
            continue
        pseudo = b"" if f.ip.proto == 1 else raw[12:20] + struct.pack(
            "!BBH", 0, f.ip.proto, len(body))
        assert checksum(pseudo + body) == 0, "checksum: %r" % f


def assert_tshark_agrees(host, cap):
    for path in cap.pcap_paths():
        r = host.run(["tshark", "-n", "-r", path,
                      "-o", "ip.check_checksum:TRUE",
                      "-o", "tcp.check_checksum:TRUE",
                      "-o", "udp.check_checksum:TRUE",
                      "-Y", "ip.checksum.status == 0 || "
                      "tcp.checksum.status == 0 || udp.checksum.status == 0"
                      " || icmp.checksum.status == 0"], timeout=60)
        assert r.stdout == "", "tshark finds bad checksums:\n" + r.stdout


@every_way
def test_rewritten_packets_have_right_checksums(host, way):
    """Every field that a sum covers, changed at random, judged by scapy and by
    tshark."""
    with host.sluice("""
            local n = 0
            rule { name = "udp", match = { proto = "udp", dport = 5999 },
                   action = function(pkt)
                       n = n + 1
                       pkt.ip.ttl = 33 + n % 50
                       pkt.ip.dscp = n % 64
                       pkt.ip.id = n * 257 % 65536
                       if n % 2 == 0 then pkt.sport = 1000 + n end
                       if n % 3 == 0 then pkt.dst = "10.66.0.2" end
                       if n % 5 == 0 then
                           pkt.payload = pkt.payload:sub(2)
                       elseif n % 7 == 0 then
                           pkt.payload = pkt.payload .. ("x"):rep(n)
                       end
                   end }
            rule { name = "tcp", match = { proto = "tcp" },
                   action = function(pkt)
                       pkt.ip.ttl = 99
                       pkt.ip.dscp = 10
                   end }
            rule { name = "icmp", match = { proto = "icmp" },
                   action = function(pkt)
                       pkt.ip.ttl = 98
                       pkt.payload = pkt.payload .. "more"
                   end }
            """, way=way), EchoServer(host.far, FAR, 80), \
            UdpServer(host.far, "0.0.0.0", 5999, echo=False) as ear, \
            host.capture() as cap:
        for i in range(60):
            host.udp(os.urandom(1 + i * 17), (FAR, 5999),
                     dev="up0" if i % 4 == 0 else None)
        c = host.tcp((FAR, 80))
        echo_once(c, os.urandom(100000))
        c.close()
        host.ping(FAR, 3)
        wait_for(lambda: len(ear.got) == 60, lambda: "all arrive: %d" %
                 len(ear.got))
        host.settle(cap)
    assert len([f for f in cap.frames if f.ip.ttl == 99]) > 10
    assert len([f for f in cap.frames if f.ip.ttl == 98]) == 3
    assert_checksums(cap.frames)
    assert_tshark_agrees(host, cap)


def test_checksums_are_judged(host):
    """The judges find a wrong sum, so their silence means something."""
    with host.capture() as cap:
        raw = bytearray(bytes(IP(src=NEAR0, dst=GW0) / UDP(sport=1, dport=2) /
                              Raw(b"wrong")))
        raw[26] ^= 1
        send_frame(host.near, "up0", bytes(Ether(
            src=mac(host.near, "up0"), dst=mac(host.far, "fu0"), type=0x800))
            + bytes(raw))
    with pytest.raises(AssertionError):
        assert_checksums(cap.frames)
    with pytest.raises(AssertionError):
        assert_tshark_agrees(host, cap)


# ---- big transfers ----------------------------------------------------------

@pytest.mark.slow(300)
@pytest.mark.parametrize("offload", [True, False], ids=["offload",
                                                        "no_offload"])
def test_curl_fetches_100_mb_through_ttl(offload_host, way, offload):
    host = offload_host
    path = random_file(os.path.join(host.tmp, "data"), 100 << 20)
    want = sha256(path)
    got = os.path.join(host.tmp, "got")
    options = [] if offload else ["--no-offload"]
    with host.sluice(rule("ttl"), *options, way=way), \
            HttpServer(host.far, FAR, 80, path=path):
        with host.capture(snaplen=96, expr="tcp[tcpflags] & tcp-syn != 0"
                          ) as cap:
            host.run(["curl", "-sS", "-m", 200, "-o", got,
                      "http://%s/data" % FAR], timeout=220)
        assert sha256(got) == want
        assert {f.ip.ttl for f in cap.frames} == {64}


@pytest.mark.slow(300)
@pytest.mark.parametrize("offload", [True, False], ids=["offload",
                                                        "no_offload"])
def test_an_upload_of_50_mb_through_ttl(offload_host, way, offload):
    host = offload_host
    path = random_file(os.path.join(host.tmp, "data"), 50 << 20)
    options = [] if offload else ["--no-offload"]
    with host.sluice(rule("ttl"), "--arg", "ttl=91", *options, way=way), \
            SinkServer(host.far, FAR, 80) as sink:
        c = host.tcp((FAR, 80), timeout=120)
        with open(path, "rb") as f:
            c.sendfile(f)
        c.close()
        wait_for(lambda: sink.done, "the end", 120)
        assert sink.digest.hexdigest() == sha256(path)


def test_super_packets_reach_the_rules_with_offload_and_not_without(
        offload_host, way):
    host = offload_host
    text = """
        rule { name = "len", match = { proto = "tcp", len = "2000-65535" },
               action = function(pkt) log("super-packet") end }
        """ + LOOK
    for options, want in (([], True), (["--no-offload"], False)):
        with host.sluice(text, *options, way=way) as s, \
                SinkServer(host.far, FAR, 80) as sink:
            c = host.tcp((FAR, 80), timeout=60)
            c.sendall(bytes(4 << 20))
            c.close()
            wait_for(lambda: sink.done, "the end", 60)
            assert sink.total == 4 << 20
            if want:
                s.wait_err("super-packet")
            else:
                assert "super-packet" not in s.stderr


def test_super_packets_with_an_edited_header_leave_in_right_segments(
        host, way):
    """The link takes no offload: the kernel cuts what the rules edited."""
    data = os.urandom(2 << 20)
    with host.sluice("""
            rule { name = "edit", match = { proto = "tcp" },
                   action = function(pkt)
                       pkt.ip.ttl = 44
                       pkt.ip.dscp = "ef"
                       if pkt.tcp.window then
                           pkt.tcp.window = pkt.tcp.window end
                   end }""", way=way), \
            SinkServer(host.far, FAR, 80) as sink, \
            host.capture(expr="tcp") as cap:
        c = host.tcp((FAR, 80), timeout=60)
        c.sendall(data)
        c.close()
        wait_for(lambda: sink.done, "the end", 60)
    import hashlib
    assert sink.digest.hexdigest() == hashlib.sha256(data).hexdigest()
    assert {f.ip.ttl for f in cap.frames} == {44}
    assert {f.ip.tos >> 2 for f in cap.frames} == {46}
    assert max(f.ip.len for f in cap.frames) <= 1500
    assert_checksums(cap.frames)


def test_udp_segmentation_offload(offload_host, way):
    """A GSO datagram (UDP_SEGMENT) arrives as its segments."""
    host = offload_host
    with host.sluice(THROUGH, way=way), \
            UdpServer(host.far, FAR, 5000, echo=False) as ear:
        s = host.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.IPPROTO_UDP, 103, 1000)  # UDP_SEGMENT
        data = os.urandom(10000)
        s.sendto(data, (FAR, 5000))
        s.close()
        wait_for(lambda: len(ear.got) == 10, lambda: "ten segments: %d" %
                 len(ear.got))
        assert sorted(d.data for d in ear.got) == sorted(
            data[i:i + 1000] for i in range(0, 10000, 1000))
        assert {d.ttl for d in ear.got} == {77}


# ---- fragments --------------------------------------------------------------

@every_way
def test_an_address_rewrite_keeps_fragments_right(host, way):
    """Written by one socket, larger than the MTU: it arrives whole at the
    address that a rule gave it."""
    with host.sluice("""
            rule { name = "to", match = { dst = "192.0.2.99" },
                   action = function(pkt) pkt.dst = "%s" end }
            """ % FAR, way=way), \
            UdpServer(host.far, FAR, 5999, echo=False) as ear, \
            host.capture() as cap:
        for kw in ({}, {"dev": "up0"}, {"mark": 0x4234}):
            data = os.urandom(6000)
            host.udp(data, ("192.0.2.99", 5999), **kw)
            wait_for(lambda: ear.with_data(data), "it arrives whole: %r" % kw)
        assert not [f for f in cap.frames if f.ip.dst == "192.0.2.99"]


@every_way
def test_ready_made_fragments_with_a_rewritten_address(host, way):
    """Fragments as a raw socket sends them: only the first has a header of
    UDP, and its checksum covers all."""
    from scapy.layers.inet import fragment
    whole = IP(src=NEAR0, dst="192.0.2.99", id=777) / UDP(
        sport=4000, dport=5999) / Raw(os.urandom(3000))
    pieces = [bytes(p) for p in fragment(whole, 1000)]
    assert len(pieces) > 2
    data = bytes(whole[Raw])
    with host.sluice("""
            rule { name = "to", match = { dst = "192.0.2.99" },
                   action = function(pkt)
                       log(tostring(pkt.udp ~= nil) .. " " ..
                           pkt.ip.frag_offset)
                       pkt.dst = "%s" end }
            """ % FAR, way=way) as sl, \
            UdpServer(host.far, FAR, 5999, echo=False) as ear:
        for order in (pieces, pieces[::-1]):
            ear.got.clear()
            s = host.near.socket(socket.AF_INET, socket.SOCK_RAW,
                                 socket.IPPROTO_RAW)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"up0")
            for p in order:
                s.sendto(p, ("192.0.2.99", 0))
            s.close()
            wait_for(lambda: ear.with_data(data), "it arrives whole")
        sl.wait_err("true 0")
        # Later fragments have no transport view.
        assert re.search(r"false [1-9]", sl.stderr)
        assert not re.search(r"true [1-9]", sl.stderr)


@every_way
def test_big_udp_datagrams_both_ways(host, way):
    with host.sluice(LOOK, way=way), UdpServer(host.far, FAR, 5000):
        s = host.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(10)
        for n in (1472, 1473, 2960, 9000, 32000, 65507):
            data = os.urandom(n)
            s.sendto(data, (FAR, 5000))
            assert s.recv(65535) == data, n
        s.close()


# ---- UDP checksums ----------------------------------------------------------

@every_way
def test_a_udp_checksum_of_zero_stays_zero(host, way):
    with host.sluice("""
            rule { name = "edit", match = { proto = "udp", dport = 5000 },
                   action = function(pkt) pkt.dst = "%s"; pkt.sport = 999
                   pkt.ip.ttl = 55 end }""" % FAR, way=way), \
            host.capture() as cap:
        s = host.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, 11, 1)  # SO_NO_CHECK
        s.sendto(b"no checksum", (GW0, 5000))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"up0")
        s.sendto(b"no checksum", (GW0, 5000))
        s.close()
        host.settle(cap)
    got = cap.with_bytes(b"no checksum")
    assert len(got) == 2
    for f in got:
        assert f.ip[UDP].chksum == 0 and f.ip[UDP].sport == 999
        assert f.ip.dst == FAR and f.ip.ttl == 55


@every_way
def test_a_computed_udp_checksum_of_0_becomes_ffff(host, way):
    """Payloads chosen so that the rewritten packet's sum is 0: an incremental
    update (by packet socket: complete) and a partial one (by socket)."""
    def payload_for(sport):
        # Find two bytes that make the sum of the rewritten packet zero.
        probe = IP(src=NEAR0, dst=FAR) / UDP(sport=sport, dport=5000) / Raw(
            b"zz\0\0")
        c = IP(bytes(probe))[UDP].chksum
        # The complement sum is c; adding c to the data makes it 0.
        return b"zz" + struct.pack("!H", c)
    data = payload_for(999)
    whole = IP(bytes(IP(src=NEAR0, dst=FAR) / UDP(sport=999, dport=5000) /
                     Raw(data)))
    assert whole[UDP].chksum in (0, 0xffff), "the payload is well chosen"
    with host.sluice("""
            rule { name = "edit", match = { proto = "udp", dport = 5000 },
                   action = function(pkt) pkt.dst = "%s"
                   pkt.sport = 999 end }""" % FAR, way=way), \
            host.capture() as cap:
        host.udp(data, (GW0, 5000))
        host.udp(data, (GW0, 5000), dev="up0")
        send_frame(host.near, "up0", bytes(Ether(
            src=mac(host.near, "up0"), dst=mac(host.far, "fu0"), type=0x800) /
            IP(src=NEAR0, dst=GW0) / UDP(sport=1, dport=5000) / Raw(data)))
        host.settle(cap)
    got = [f for f in cap.frames if f.ip.dport == 5000]
    assert len(got) == 3
    for f in got:
        assert f.ip[UDP].sport == 999
        assert f.ip[UDP].chksum == 0xffff


# ---- resizing ---------------------------------------------------------------

@every_way
@pytest.mark.parametrize("size", [0, 1, 700, 1472, 3000])
def test_a_udp_payload_may_change_its_length(host, way, size):
    with host.sluice("""
            rule { name = "resize", match = { proto = "udp", dport = 5999 },
                   action = function(pkt)
                       pkt.payload = ("y"):rep(%d)
                       pkt.ip.df = false -- it may need fragments now
                   end }""" % size, way=way), \
            UdpServer(host.far, FAR, 5999, echo=False) as ear:
        for kw in ({}, {"dev": "up0"}):
            ear.got.clear()
            host.udp(b"x" * 500, (FAR, 5999), **kw)
            wait_for(lambda: ear.got, "it arrives")
            assert ear.got[0].data == b"y" * size


@every_way
def test_a_tcp_payload_of_another_length_is_a_clear_error(host, way):
    with host.sluice("""
            rule { name = "shorter", match = { proto = "tcp" },
                   action = function(pkt)
                       if #pkt.payload > 0 then pkt.payload = "" end end }
            """, way=way) as s, EchoServer(host.far, FAR, 80):
        c = host.tcp((FAR, 80))
        echo_once(c, b"hello, this goes on as it was")
        c.close()
        line = s.wait_err(re.compile(r".*shorter.*"))
        assert re.search(r"rule\d+\.lua:\d+", line.group(0))


@every_way
def test_a_tcp_payload_of_the_same_length_is_rewritten(host, way):
    with host.sluice("""
            rule { name = "upper", match = { proto = "tcp", dport = 80 },
                   action = function(pkt)
                       if #pkt.payload > 0 then
                           pkt.payload = pkt.payload:upper() end end }
            """, way=way), EchoServer(host.far, FAR, 80):
        c = host.tcp((FAR, 80))
        c.sendall(b"hello")
        assert c.recv(100) == b"HELLO"
        c.sendall(b"world" * 20000)
        got = b""
        while len(got) < 100000:
            got += c.recv(65536)
        assert got == b"WORLD" * 20000
        c.close()


# ---- a slow uplink ----------------------------------------------------------

@pytest.mark.slow(120)
def test_a_slow_uplink_stalls_nothing_else_and_stays_responsive(host):
    """up0 at 20 Mbit/s with an upload running: up1 is quick, and so is a
    packet that goes by up0 itself. (Bounds are wide: this is no benchmark,
    it tells a queue from a black hole.)"""
    host.run("tc qdisc add dev up0 root tbf rate 20mbit burst 16k limit 300k")
    with host.sluice(LOOK, way="wire") as s, \
            SinkServer(host.far, FAR, 80) as sink:
        c = host.tcp((FAR, 80), timeout=60)
        c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        import threading
        stop = []

        def upload():
            try:
                while not stop:
                    c.sendall(bytes(65536))
            except OSError:
                pass
        t = threading.Thread(target=upload)
        t.start()
        try:
            wait_for(lambda: sink.total > 2 << 20, "the upload runs", 30)

            def median(dst):
                r = host.run(["ping", "-n", "-c", 15, "-i", 0.1, "-W", 5, dst],
                             check=False, timeout=60)
                times = sorted(map(float, re.findall(r"time=([\d.]+)",
                                                     r.stdout)))
                assert len(times) >= 14, r.stdout
                return times[len(times) // 2]
            assert median(FAR1) < 60
            assert median(FAR) < 130
        finally:
            stop.append(1)
            c.close()
            t.join(30)
        assert s.returncode is None


@every_way
def test_a_flood_ends_and_traffic_goes_on(host, way):
    with host.sluice(THROUGH, way=way):
        s = host.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(20000):
            try:
                s.sendto(b"f" * 100, (FAR, 9))
            except OSError:
                pass
        s.close()
        # Datagrams may be lost while a queue is full, but not for ever.
        d = wait_for(lambda: host.udp_arrives(FAR, timeout=1),
                     "traffic goes on", 20)
        assert d.ttl == 77
        host.ping(FAR, 2, check=2)


def test_dropping_all_leaves_local_sockets_alone(host, way):
    with host.sluice(DROP_ALL, way=way):
        with EchoServer(host.near, "127.0.0.1", 80):
            c = host.tcp(("127.0.0.1", 80))
            echo_once(c)
            c.close()
