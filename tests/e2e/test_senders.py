# SPDX-License-Identifier: GPL-2.0-or-later
"""Who sends: rules by user, group and cgroup, and --only, which takes what one
command sends; judged by what the far side gets."""
import contextlib
import itertools
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys

import pytest
from scapy.layers.inet import IP, TCP, UDP

from containers import Network
from far import HttpServer, UdpServer
from host import FAR, FENCE_RULE, GW0, NEAR0, NEAR1, THROUGH
from net import snapshot, snapshot_diff, wait_for
from sluice import READY, assert_no_sanitizer_report, one_line, sluice

every_way = pytest.mark.parametrize("way", ["route", "wire"])
PORT = 5990
_serial = itertools.count(1)

# Sends its third argument as a datagram. A packet that the kernel drops while
# it is being sent may come back as an error.
SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try:
    s.sendto(bytes.fromhex(sys.argv[3]), (sys.argv[1], int(sys.argv[2])))
except (PermissionError, OSError) as e:
    assert e.errno in (1, 105), e
"""


def hierarchy():
    """Where cgroup v2 is mounted; None: nowhere."""
    with open("/proc/self/mountinfo") as f:
        for line in f:
            head, _, tail = line.partition(" - ")
            if tail.split()[0] == "cgroup2" and head.split()[3] == "/":
                return head.split()[4]
    return None


ROOT = hierarchy()
needs_cgroups = pytest.mark.skipif(
    not ROOT or not os.access(ROOT, os.W_OK), reason="no cgroup v2 to write to")


@pytest.fixture
def group():
    """Makes cgroups, "a/b" from the left; takes them away again."""
    made = []

    def make(path):
        at = ROOT
        for part in path.split("/"):
            at = os.path.join(at, part)
            if not os.path.isdir(at):
                os.mkdir(at)
                made.append(at)
        return path
    yield make
    for path in reversed(made):
        with contextlib.suppress(FileNotFoundError):
            wait_for(lambda: rmdir(path), "cgroup %s is empty" % path)


def rmdir(path):
    with contextlib.suppress(OSError):
        os.rmdir(path)
    return not os.path.exists(path)


def fresh():
    return "slt%dx%d" % (os.getpid(), next(_serial))


def start_in(host, cmd, cgroup=None, user=None, **kw):
    """cmd in the namespace, in a cgroup, as somebody (user, group)."""
    if user is not None:
        cmd = ["setpriv", "--reuid", user[0], "--regid", user[1],
               "--clear-groups"] + cmd

    def join():
        if cgroup:
            with open(os.path.join(ROOT, cgroup, "cgroup.procs"), "w") as f:
                f.write("0")
    return subprocess.Popen(host.near.argv(cmd), preexec_fn=join,
                            stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            **kw)


def run_in(host, cmd, **kw):
    p = start_in(host, cmd, **kw)
    out, err = p.communicate(timeout=20)
    assert p.returncode == 0, err
    return out


class Ear:
    """Datagrams of senders, as the far side gets them."""

    def __init__(self, host):
        self.host, self.server = host, UdpServer(host.far, "0.0.0.0", PORT,
                                                 echo=False)

    def send(self, **kw):
        nonce = os.urandom(16)
        run_in(self.host, [sys.executable, "-c", SEND, FAR, str(PORT),
                           nonce.hex()], **kw)
        return nonce

    def ttl(self, nonce):
        """The TTL it came with."""
        wait_for(lambda: self.server.with_data(nonce), "it arrives")
        return self.server.with_data(nonce)[0].ttl

    def lost(self, nonce):
        """What was sent behind it has come, and it has not: it was dropped
        where it was sent, in the kernel."""
        end = os.urandom(16)
        self.host.udp(end, (FAR, 7777))
        wait_for(lambda: self.fence.with_data(end), "the fence arrives")
        return not self.server.with_data(nonce)

    def __enter__(self):
        self.fence = UdpServer(self.host.far, "0.0.0.0", 7777, echo=False)
        return self

    def __exit__(self, *_):
        self.server.close()
        self.fence.close()

    def heard(self, **kw):
        return self.ttl(self.send(**kw))

    def dropped(self, **kw):
        return self.lost(self.send(**kw))


# ---- users and groups --------------------------------------------------------

NOBODY, WWW, ROOTS = ("65534", "65534"), ("33", "33"), None
SOMEBODY = ("5005", "5006")

# match: who of nobody, www-data, 5005 (group 5006) and root meets it
BY_USER = {
    "name": ('user = "nobody"', "1000"),
    "number": ("user = 33", "0100"),
    "not": ('user = "!nobody"', "0111"),
    "not_root": ('user = "!0"', "1110"),
    "range": ('user = "5000-5999"', "0010"),
    "from": ('user = "5000-4294967294"', "1010"),
    "to": ('user = "0-5000"', "0101"),
    "list": ('user = { "www-data", "5000-5100", 0 }', "0111"),
    "range_but_one": ('user = { "1-65534", "!5005" }', "1100"),
    "group": ('group = "www-data"', "0100"),
    "group_list": ('group = { 5006, "65000-66000" }', "1010"),
    "not_group": ('group = { "!33", "!0" }', "1010"),
    "both": ('user = "5005", group = "5006"', "0010"),
    "neither": ('user = "5005", group = "5005"', "0000"),
}


@every_way
@pytest.mark.parametrize("name", BY_USER)
def test_a_rule_by_user_is_for_what_that_user_sends(host, way, name):
    match, want = BY_USER[name]
    text = 'rule { name = "r", match = { proto = "udp", dport = %d, %s }, ' \
        'action = DROP }' % (PORT, match)
    with Ear(host) as ear, host.sluice(text, way=way) as s:
        nonces = [ear.send(user=u) for u in (NOBODY, WWW, SOMEBODY, ROOTS)]
        got = "".join("1" if ear.lost(n) else "0" for n in nonces)
        assert got == want, s.stderr
        for n, dropped in zip(nonces, want):
            assert dropped == "1" or ear.ttl(n) == 64
    assert "rule r: %d packets" % want.count("1") in s.stderr


@every_way
def test_a_function_is_called_for_what_that_user_sends(host, way):
    text = """
rule { name = "r", match = { user = "nobody", proto = { "udp", "tcp" } },
       action = function(pkt) pkt.ip.ttl = 99 end }
rule { name = "w", match = { user = "nobody", proto = "icmp" }, action = DROP }
"""
    fetch = ["curl", "-sS", "-m", "8", "http://%s:8000/" % FAR]
    with Ear(host) as ear, HttpServer(host.far, FAR, 8000) as web, \
            host.sluice(text, way=way) as s, host.capture() as cap:
        assert ear.heard(user=NOBODY) == 99
        assert ear.heard(user=WWW) == 64
        assert ear.heard() == 64
        assert run_in(host, fetch, user=NOBODY) == "hello\n"
        n = len(cap.sync())
        ours = [f for f in cap.frames if f.ip.haslayer(TCP)]
        # What the kernel says of a connection that nobody has any more is
        # nobody's.
        assert [f for f in ours if f.ip.ttl == 99]
        assert all(f.ip.ttl == 99 for f in ours if f.ip[TCP].flags.S or
                   len(f.ip[TCP].payload))
        assert run_in(host, fetch, user=WWW) == "hello\n"
        cap.sync()
        assert all(f.ip.ttl == 64 for f in cap.frames[n:]
                   if f.ip.haslayer(TCP))
        assert len(web.requests) == 2
        assert host.ping(count=1, check=1)
    assert re.search(r"rule r: \d\d? packets", s.stderr)


@every_way
def test_what_the_kernel_itself_sends_is_nobodys(host, way):
    """Whether a user is asked for or excluded, echo replies and resets have
    none."""
    text = """
rule { name = "r", match = { user = "!nobody", dst = "%s" }, action = DROP }
rule { name = "s", match = { user = "nobody", dst = "%s" }, action = DROP }
""" % (GW0, GW0)
    with host.sluice(text, way=way):
        r = host.far.run(["ping", "-n", "-c", "2", "-i", "0.1", "-W", "5",
                          "-I", GW0, "10.66.0.1"])
        assert " 2 received" in r.stdout
        s = host.far.socket(socket.AF_INET, socket.SOCK_STREAM)
        with contextlib.closing(s):
            s.settimeout(8)
            s.bind((GW0, 0))
            with pytest.raises(ConnectionRefusedError):
                s.connect(("10.66.0.1", 999))
        assert host.ping(GW0, 1, wait=1) == 0


# ---- cgroups -----------------------------------------------------------------

@needs_cgroups
@every_way
def test_a_rule_by_cgroup_is_for_it_and_all_below_it(host, group, way):
    name = fresh()
    group(name + "/inner/most")
    group(name + "x")
    text = """
rule { name = "r", match = { cgroup = "/%s/", proto = "udp", dport = %d },
       action = DROP }
rule { name = "f", match = { cgroup = "%sx", proto = "udp", dport = %d },
       action = function(pkt) pkt.ip.ttl = 98 end }
""" % (name, PORT, name, PORT) + FENCE_RULE
    with Ear(host) as ear, host.sluice(text, way=way) as s:
        assert ear.dropped(cgroup=name)
        assert ear.dropped(cgroup=name + "/inner")
        assert ear.dropped(cgroup=name + "/inner/most", user=NOBODY)
        assert ear.heard(cgroup=name + "x") == 98
        assert ear.heard() == 64
    assert "rule r: 3 packets" in s.stderr
    assert "rule f: 1 packets" in s.stderr


@needs_cgroups
@every_way
def test_a_part_of_a_cgroup_is_named_by_a_longer_path(host, group, way):
    name = fresh()
    group(name + "/inner")
    text = 'rule { name = "r", match = { cgroup = { "%s/inner", "none-such" ' \
        '}, proto = "udp", dport = %d }, action = DROP }' % (name, PORT)
    with Ear(host) as ear, host.sluice(text, way=way):
        assert ear.dropped(cgroup=name + "/inner")
        assert ear.heard(cgroup=name) == 64


@needs_cgroups
@every_way
def test_a_cgroup_can_be_excluded(host, group, way):
    """For who is elsewhere, above it, below others, and in the root."""
    name = fresh()
    group(name + "/in/most")
    group(name + "/out")
    drop = 'rule { name = "r", match = { cgroup = %%s, proto = "udp", dport ' \
        '= %d }, action = DROP }' % PORT
    look = drop.replace("DROP }", "function(pkt) pkt.ip.ttl = 98 end }")
    some = '{ "%s", "!%s/in" }' % (name, name)
    with Ear(host) as ear:
        with host.sluice(drop % ('"!%s/in"' % name), way=way) as s:
            assert ear.heard(cgroup=name + "/in") == 64
            assert ear.heard(cgroup=name + "/in/most") == 64
            assert ear.dropped(cgroup=name)
            assert ear.dropped(cgroup=name + "/out")
            assert ear.dropped()
        assert "rule r: 3 packets" in s.stderr
        with host.sluice(look % some, way=way) as s:
            assert ear.heard(cgroup=name + "/in") == 64
            assert ear.heard(cgroup=name + "/in/most") == 64
            assert ear.heard(cgroup=name) == 98
            assert ear.heard(cgroup=name + "/out") == 98
            assert ear.heard() == 64
        assert "rule r: 2 packets" in s.stderr


@needs_cgroups
@every_way
def test_what_routing_cannot_take_is_told_by_cgroup_as_well(host, group, way):
    """Sockets with a mark, or bound to a device."""
    name = group(fresh())
    text = """
rule { name = "r", match = { cgroup = "%s", proto = "udp", dport = %d },
       action = function(pkt) pkt.ip.ttl = 98 end }
""" % (name, PORT)
    send = SEND.replace("try:", "s.setsockopt(*OPTION)\ntry:")
    with Ear(host) as ear, host.sluice(text, way=way):
        for option in ("(socket.SOL_SOCKET, 36, 0x40)",
                       "(socket.SOL_SOCKET, 36, 0x3040)",
                       "(socket.SOL_SOCKET, 25, b'up0')",
                       "(socket.IPPROTO_IP, socket.IP_TTL, 255)"):
            for cgroup, ttls in ((name, (98,)), (None, (64, 255))):
                nonce = os.urandom(16)
                run_in(host, [sys.executable, "-c",
                              send.replace("OPTION", option), FAR, str(PORT),
                              nonce.hex()], cgroup=cgroup)
                assert ear.ttl(nonce) in ttls, (option, cgroup)


@needs_cgroups
@every_way
def test_a_held_connection_keeps_the_mark_of_others(host, group, way):
    name = group(fresh())
    text = """
rule { name = "r", match = { cgroup = "%s", proto = "tcp" }, action = DROP }
rule { name = "f", match = { proto = "udp", dport = %d },
       action = function(pkt) pkt.flow:bypass() end }
""" % (name, PORT)
    host.near.nft("""
table ip others {
    counter marked { }
    chain post {
        type filter hook postrouting priority 0;
        udp dport %d meta mark & 0xff == 0x40 counter name marked
    }
}
""" % PORT)
    with Ear(host) as ear, host.sluice(text, way=way) as s:
        for _ in range(4):
            nonce = os.urandom(16)
            host.udp(nonce, (FAR, PORT), mark=0x40, src=("10.66.0.1", 20000))
            assert ear.ttl(nonce) == 64
        listed = host.run(["nft", "list", "counters", "table", "ip",
                           "others"]).stdout
        assert "packets 4 " in listed
    assert "rule f: 1 packets" in s.stderr


@needs_cgroups
@every_way
def test_a_cgroup_may_come_later_and_come_again(host, group, way):
    name = fresh()
    text = 'rule { name = "r", match = { cgroup = "%s", proto = "udp", dport ' \
        '= %d }, action = DROP }' % (name, PORT)
    with Ear(host) as ear, host.sluice(text, way=way):
        assert ear.heard() == 64
        for _ in range(2):
            group(name)
            wait_for(lambda: ear.dropped(cgroup=name),
                     "what it sends is dropped", timeout=15)
            wait_for(lambda: rmdir(os.path.join(ROOT, name)), "it goes")
        assert ear.heard() == 64


# ---- what cannot be told -----------------------------------------------------

F = "function(pkt) end"
REFUSED = {
    "two_functions": (
        'rule { name = "a", match = { user = "nobody" }, action = %s }\n'
        'rule { name = "b", match = { dport = 80 }, action = %s }' % (F, F),
        "rule a (", "asks for user", "but rule b ("),
    "two_users": (
        'rule { name = "a", match = { user = 1 }, action = %s }\n'
        'rule { name = "b", match = { user = 2 }, action = %s }' % (F, F),
        "rule a (", "asks for user", "but rule b ("),
    "behind_a_function": (
        'rule { name = "a", match = { dport = 80 }, action = %s }\n'
        'rule { name = "b", match = { group = 7 }, action = DROP }' % F,
        "rule b (", "asks for group", "but rule a (", "stand behind"),
    "changed_by_a_function": (
        'rule { name = "a", match = { dport = 80 }, action = %s }\n'
        'rule { name = "b", match = { user = 1, dport = 81 }, action = %s }' %
        (F, F), "rule b (", "but rule a (", "may change packets of others"),
    "where": (
        'rule { name = "a", match = { cgroup = "x" }, where = %s, action = '
        'DROP }\nrule { name = "b", action = REJECT }' % F,
        "rule a (", "asks for cgroup", "but rule b ("),
    "connections": (
        'rule { name = "a", match = { user = 1 }, action = function(pkt) '
        'pkt.flow.data.x = 1 end }', "rule a (", "asks for user",
        "connections"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_rules_that_nobody_can_answer_are_refused(host, name):
    text, *says = REFUSED[name]
    path = host.rules(text)
    for command in ("run", "check"):
        r = sluice(host, command, path, check=2)
        line = one_line(r.stderr)
        for words in says:
            assert words in line, line


NOT_REFUSED = {
    "ports": 'rule { match = { user = 1, dport = 80 }, action = %s }\n'
             'rule { match = { dport = 443 }, action = %s }' % (F, F),
    "protocols": 'rule { match = { user = 1, proto = "tcp" }, action = %s }\n'
                 'rule { match = { icmp_type = 8 }, action = %s }' % (F, F),
    "directions": 'capture { dir = "in" }\n'
                  'rule { match = { user = 1 }, action = %s }\n'
                  'rule { match = { dir = "in" }, action = %s }' % (F, F),
    "before_a_function": 'rule { match = { user = 1 }, action = DROP }\n'
                         'rule { action = %s }' % F,
    "behind_a_constant": 'rule { match = { dport = 80 }, action = REJECT }\n'
                         'rule { match = { user = 1 }, action = DROP }',
    "not_changed": 'rule { match = { dport = 80 }, action = %s }\n'
                   'rule { match = { user = 1, dport = 81 }, action = DROP }'
                   % F,
    "other_users": 'rule { match = { user = 2 }, action = %s }\n'
                   'rule { match = { user = 1 }, action = DROP }' % F,
}


@pytest.mark.parametrize("name", NOT_REFUSED)
def test_rules_that_exclude_each_other_are_not(host, name):
    sluice(host, "check", host.rules(NOT_REFUSED[name]), check=0)


def test_a_capture_file_does_not_say_whose_packets_they_are(host):
    path = host.rules('rule { name = "a", match = { user = "!nobody" }, '
                      'action = DROP }')
    pcap = os.path.join(host.tmp, "one.pcap")
    from scapy.utils import wrpcap
    wrpcap(pcap, [IP(src="192.0.2.2", dst="192.0.2.1") / UDP(dport=5)])
    r = sluice(host, "replay", path, pcap, check=0)
    assert "ACCEPT" in r.stdout and "DROP" not in r.stdout
    assert "rule a (" in r.stderr and "'user' does not hold" in r.stderr


# ---- --only ------------------------------------------------------------------

def curl(port, local):
    return "curl -sS -m 8 --local-port %d-%d -o /dev/null http://%s:%d/" % (
        local, local + 99, FAR, port)


def sports(frames):
    return {f.ip[TCP].sport // 100 for f in frames if f.ip.haslayer(TCP)}


def leftovers():
    return {os.path.join(at, d) for at, dirs, _ in os.walk(ROOT)
            for d in dirs if d.startswith("sluice-only-")} if ROOT else set()


@needs_cgroups
@every_way
def test_only_a_command_and_its_children_go_through_the_rules(host, way):
    before, groups = snapshot(host.near), leftovers()
    script = "%s; sh -c 'sh -c \"%s\" & wait'; %s; exit 7" % (
        curl(8000, 40000), curl(8000, 41000), curl(8000, 42000))
    stop = os.path.join(host.tmp, "stop")
    with HttpServer(host.far, FAR, 8000) as web, host.capture() as cap:
        other = host.near.popen("while ! test -e %s; do %s; done" % (
            stop, curl(8000, 30000)))
        wait_for(lambda: len(web.requests) > 1, "the other is at work")
        r = sluice(host, "run", "--only", "--capture", way,
                   host.rules(THROUGH), "--", "sh", "-c", script)
        seen = len(web.requests)
        wait_for(lambda: len(web.requests) > seen + 1, "the other goes on")
        with open(stop, "w"):
            pass
        assert other.wait(20) == 0
        cap.sync()
    assert r.returncode == 7, r.stderr
    tcp = [f for f in cap.frames if f.ip.haslayer(TCP)]
    through = [f for f in tcp if f.ip.ttl == 77]
    past = [f for f in tcp if f.ip.ttl == 64]
    assert len(through) + len(past) == len(tcp)
    assert sports(through) == {400, 410, 420}
    assert 300 in sports(past)
    # Of the command's own the kernel alone may say a last word.
    for f in past:
        if f.ip[TCP].sport >= 40000:
            assert not f.ip[TCP].flags.S and not len(f.ip[TCP].payload)
    assert not snapshot_diff(before, snapshot(host.near))
    assert leftovers() <= groups
    assert "rule through: %d packets" % len(through) in r.stderr


@needs_cgroups
@every_way
def test_only_without_rules_shows_the_commands_packets(host, way):
    stop = os.path.join(host.tmp, "stop")
    with HttpServer(host.far, FAR, 8000) as web:
        other = host.near.popen("while ! test -e %s; do %s; done" % (
            stop, curl(8000, 30000)))
        wait_for(lambda: len(web.requests) > 1, "the other is at work")
        r = sluice(host, "run", "--only", "--capture", way, "--", "sh", "-c",
                   "%s; ping -n -c1 -W5 %s; ping -n -c1 -W5 -I up0 %s" % (
                       curl(8000, 40000), FAR, GW0), check=0)
        with open(stop, "w"):
            pass
        assert other.wait(20) == 0
    ports = re.findall(r"10\.66\.0\.1:(\d+) >", r.stdout)
    assert ports and all(40000 <= int(p) < 40100 for p in ports)
    assert len(re.findall(r" icmp .*echo request", r.stdout)) == 2, r.stdout


@needs_cgroups
@every_way
def test_only_leaves_the_kernels_part_of_the_rules_to_the_command(host, way):
    """A constant verdict is for nobody else, either."""
    text = """
rule { name = "drop", match = { proto = "udp", dport = %d }, action = DROP }
policy(DROP)
""" % PORT
    send = [sys.executable, "-c", SEND, FAR, str(PORT)]
    mine, other = os.urandom(16), os.urandom(16)
    with Ear(host) as ear:
        go = os.path.join(host.tmp, "go")
        s = host.sluice(text, "--only", way=way, cmd=[
            "sh", "-c", 'while ! test -e %s; do sleep 0.05; done; "$@"' % go,
            "sh"] + send + [mine.hex()]).start()
        run_in(host, send + [other.hex()])
        assert ear.ttl(other) == 64
        assert host.ping(count=1, check=1)
        with open(go, "w"):
            pass
        s.wait()
        s.check_after()
        assert s.returncode == 0
        assert ear.lost(mine)
    assert "rule drop: 1 packets" in s.stderr


@needs_cgroups
@every_way
def test_a_daemon_that_the_command_leaves_behind_lives_on(host, way):
    groups = leftovers()
    r = sluice(host, "run", "--only", "--capture", way, host.rules(THROUGH),
               "--", "sh", "-c", "setsid sleep 77 >/dev/null 2>&1 & echo $!",
               check=0)
    pid = int(r.stdout.split()[0])
    assert leftovers() <= groups
    with open("/proc/%d/cgroup" % pid) as f:
        assert "sluice-only" not in f.read()
    os.kill(pid, signal.SIGKILL)


@needs_cgroups
def test_down_removes_the_cgroup_of_a_killed_instance_and_of_no_other(host):
    groups = leftovers()
    runs = host.sluice(THROUGH, "--only", cmd=["sleep", "100"]).start()
    kept = leftovers() - groups
    assert len(kept) == 1
    other = host.netns("other")
    other.ip("link add dummy type veth peer name dummy2\n"
             "addr add 192.0.2.9/24 dev dummy\nlink set dummy up")
    p = other.popen(runs.args[:2] + ["--only", runs.paths[0], "--", "sleep",
                                     "100"], stderr=subprocess.PIPE)
    for line in p.stderr:
        if READY.search(line):
            break
    left = wait_for(lambda: leftovers() - groups - kept, "another cgroup")
    p.kill()
    p.wait(10)
    # Its worker ends a moment later.
    r = wait_for(lambda: [r for r in [sluice(host, "down", ns=other)]
                          if not r.returncode], "down may do its work")[0]
    assert "removed " in r.stderr
    assert not left & leftovers()
    assert kept <= leftovers()
    runs.proc.send_signal(signal.SIGTERM)
    runs.wait()
    runs.check_after()
    assert leftovers() <= groups


def test_only_wants_a_command(host):
    r = sluice(host, "run", "--only", host.rules(THROUGH), check=2)
    assert "which command?" in one_line(r.stderr)
    path = host.rules('capture { dir = "forward" }\n' + THROUGH)
    r = sluice(host, "run", "--only", path, "--", "true", check=2)
    assert "--only" in one_line(r.stderr)
    path = host.rules('capture { dir = "in" }\n' + THROUGH)
    r = sluice(host, "run", "--only", "--capture", "route", path, "--", "true",
               check=1)
    assert "use --capture wire" in one_line(r.stderr)


@needs_cgroups
def test_a_hierarchy_that_cannot_be_written_to_is_one_line(host):
    binary = host.sluice().args[0]
    r = subprocess.run(
        ["nsenter", "--net=/run/netns/" + host.near.name, "unshare", "-m",
         "sh", "-c", "mount --bind %s %s && mount -o remount,bind,ro %s && "
         "exec %s run --only -- true" % (ROOT, ROOT, ROOT, binary)],
        capture_output=True, text=True, timeout=30)
    assert_no_sanitizer_report(r.stderr)
    assert r.returncode == 1
    assert "--only: " in one_line(r.stderr)
    assert "must be writable" in r.stderr


# ---- beside others -----------------------------------------------------------

@every_way
def test_with_audit_such_rules_still_work(host, way):
    text = """
rule { name = "r", match = { user = "nobody", proto = "udp", dport = %d },
       action = DROP }
rule { name = "f", match = { group = 33, proto = "tcp" },
       action = function(pkt) pkt.ip.ttl = 98 end }
""" % PORT
    with Ear(host) as ear, HttpServer(host.far, FAR, 8000), \
            host.sluice(text, "--audit", way=way) as s, host.capture() as cap:
        assert ear.dropped(user=NOBODY)
        assert ear.heard(user=WWW) == 64
        run_in(host, curl(8000, 40000).split(), user=WWW)
        run_in(host, curl(8000, 41000).split())
        cap.sync()
        ttls = {(f.ip[TCP].sport // 1000, f.ip.ttl) for f in cap.frames
                if f.ip.haslayer(TCP) and f.ip[TCP].flags.S}
        assert ttls == {(40, 98), (41, 64)}
        s.wait_out(" 10.66.0.1:40")
        assert "kernel decides what it can: that is not shown" in s.stderr
    assert " 10.66.0.1:41" not in s.stdout
    assert "rule r: 1 packets" in s.stderr


@needs_cgroups
@every_way
def test_cgroups_are_told_beside_what_passes_through(host, group, way):
    """Both are handed over where they leave, and each to its own rules."""
    name = group(fresh())
    text = """
capture { dir = { "out", "in", "forward" } }
rule { name = "own", match = { cgroup = "%s", proto = "udp", dport = %d },
       action = function(pkt) pkt.ip.ttl = 98 end }
rule { name = "pass", match = { dir = "forward", proto = "udp" },
       action = function(pkt) pkt.ip.ttl = 96 end }
""" % (name, PORT)
    net = Network(host)
    host.far.ip("route add %s.0/24 via %s" % (net.net, NEAR0))
    net.ready(FAR)
    with Ear(host) as ear, host.sluice(text, way=way), \
            UdpServer(host.far, FAR, 5000) as srv:
        assert ear.heard(cgroup=name) == 98
        assert ear.heard() == 64
        assert net.ask(b"hello", (FAR, 5000))[0] == b"hello"
        # The bridge's host took one.
        assert srv.got[0].ttl == 95
        assert ear.heard(cgroup=name) == 98


@needs_cgroups
def test_only_sees_what_answers_the_command_and_nothing_else(host):
    """TCP, UDP, pings and ICMP errors, in both directions."""
    text = """
capture { dir = { "out", "in" } }
rule { name = "see", action = function(pkt) audit(pkt, pkt.dir) end }
"""
    udp = "%s -c %s %s 9 6869" % (
        sys.executable, shlex.quote(SEND), FAR)
    # One write: else an audit line may come in between.
    ask = ("import os, socket; s = socket.socket(socket.AF_INET, socket."
           "SOCK_DGRAM); s.settimeout(8); s.bind(('', 20000)); "
           "s.sendto(b'x', ('%s', 5000)); os.write(1, b'got ' + s.recv(9) + "
           "b'\\n')" % FAR)
    script = "; ".join((
        curl(8000, 40000), "%s -c %s" % (sys.executable, shlex.quote(ask)),
        udp, "ping -n -c2 -i0.2 -W5 %s" % FAR,
        "ping -n -c1 -W1 -t1 203.0.113.77", "exit 3"))
    stop = os.path.join(host.tmp, "stop")
    with HttpServer(host.far, FAR, 8000) as web, \
            UdpServer(host.far, FAR, 5000):
        host.far.sysctl("net.ipv4.ip_forward", 1)
        host.far.ip("route add 203.0.113.77 dev fu0")
        other = host.near.popen("while ! test -e %s; do %s; ping -n -c1 -W5 "
                                "%s; done" % (stop, curl(8000, 30000), FAR))
        wait_for(lambda: len(web.requests) > 1, "the other is at work")
        r = sluice(host, "run", "--only", "--audit", "--json",
                   host.rules(text), "--", "sh", "-c", script)
        with open(stop, "w"):
            pass
        other.wait(20)
    assert r.returncode == 3, r.stderr
    assert "capturing at the wire" in r.stderr
    seen = [json.loads(l) for l in r.stdout.splitlines() if l[:1] == "{"]
    for e in seen:
        if e["proto"] == "tcp":
            assert 40000 <= e["sport" if e["dir"] == "out" else "dport"] < 41000
    kinds = {(e["dir"], e["proto"], e["detail"].split(" id")[0] if "detail" in
              e and e["proto"] == "icmp" else "") for e in seen}
    assert {("out", "tcp", ""), ("in", "tcp", ""), ("out", "udp", ""),
            ("in", "udp", ""), ("out", "icmp", "echo request"),
            ("in", "icmp", "echo reply")} <= kinds, r.stdout
    assert len([e for e in seen if "echo reply" in e["detail"]]) == 2
    errors = [e["detail"] for e in seen if e["dir"] == "in" and
              e["proto"] == "icmp" and "reply" not in e["detail"]]
    assert len(errors) == 2, errors
    assert "unreachable" in errors[0], "of the datagram"
    assert "exceeded" in errors[1], "of the ping"
    assert "got x\n" in r.stdout


@every_way
def test_a_user_is_sent_by_another_interface(host, way):
    """By the kernel, and by us what the kernel leaves to us: what carries a
    mark."""
    text = 'rule { name = "v", match = { user = "nobody", proto = "udp", ' \
        'dport = %d }, action = via("up1") }' % PORT
    host.near.ip("route add default via 10.67.0.2 dev up1 metric 500")
    marked = ["setpriv", "--reuid", "nobody", "--regid", "nogroup",
              "--clear-groups", "--inh-caps", "+net_admin", "--ambient-caps",
              "+net_admin", sys.executable, "-c", SEND.replace(
                  "try:", "s.setsockopt(socket.SOL_SOCKET, 36, 0x40)\ntry:")]
    with Ear(host) as ear, host.sluice(text, way=way):
        def peer(nonce):
            ear.ttl(nonce)
            return ear.server.with_data(nonce)[0].peer[0]
        assert peer(ear.send(user=NOBODY)) == NEAR1
        assert peer(ear.send(user=WWW)) == NEAR0
        assert peer(ear.send()) == NEAR0
        nonce = os.urandom(16)
        run_in(host, marked + [FAR, str(PORT), nonce.hex()])
        assert peer(nonce) == NEAR1
