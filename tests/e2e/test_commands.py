# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands: what they print, how they end."""
import json
import os
import re
import shutil
import subprocess

import pytest

from far import EchoServer
from host import FAR, GOOGLE, LOOK, NEAR0
from net import snapshot, snapshot_diff, wait_for
from sluice import (BINARY, RULES, assert_no_sanitizer_report, one_line, rule,
                    sluice)

COMMANDS = ["run", "lab", "audit", "check", "down", "doctor"]
every_way = pytest.mark.parametrize("way", ["route", "wire", "auto"])


# ---- help -------------------------------------------------------------------

def test_help_lists_the_commands_and_fits_on_a_screen(host):
    r = sluice(host, "--help", check=0)
    for c in COMMANDS:
        assert re.search(r"^\s+%s\s" % c, r.stdout, re.M), c
    assert len(r.stdout.splitlines()) <= 24
    assert max(map(len, r.stdout.splitlines())) <= 80
    assert r.stderr == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_fits_on_a_screen(host, command):
    r = sluice(host, command, "--help", check=0)
    assert r.stdout.startswith("usage: sluice %s" % command)
    assert len(r.stdout.splitlines()) <= 24
    assert max(map(len, r.stdout.splitlines())) <= 80
    assert r.stderr == ""


def test_no_command_shows_help_and_is_wrong_usage(host):
    r = sluice(host, check=2)
    assert "usage: sluice" in r.stdout + r.stderr


def test_version(host):
    r = sluice(host, "--version", check=0)
    assert re.match(r"sluice \d+\.\d+", r.stdout)


# ---- run --------------------------------------------------------------------

@every_way
@pytest.mark.parametrize("status", [0, 1, 3, 77])
def test_run_ends_with_the_status_of_its_command(host, way, status):
    s = host.sluice(LOOK, way=way, cmd=["sh", "-c", "exit %d" % status]
                    ).start(ready=False)
    assert s.wait() == status
    s.check_after()


def test_run_ends_with_a_signal_of_its_command_as_a_shell_says_it(host):
    s = host.sluice(LOOK, cmd=["sh", "-c", "kill -9 $$"]).start(ready=False)
    assert s.wait() == 137
    s.check_after()


def test_run_starts_its_command_when_packets_are_captured(host, way):
    """Its very first packet meets the rules."""
    s = host.sluice(rule("icmp-echo"), way=way, cmd=[
        "ping", "-n", "-c", "1", "-W", "3", "192.0.2.1"]).start(ready=False)
    assert s.wait() == 0, s.stdout + s.stderr
    assert "1 received" in s.stdout
    s.check_after()


def test_run_ends_its_command_when_it_is_ended(host, way):
    s = host.sluice(LOOK, way=way, cmd=["sleep", "1000"]).start()
    s.proc.terminate()
    s.wait()
    s.check_after()
    assert not [p for p in host.near.pids()
                if b"sleep" in open("/proc/%d/cmdline" % p, "rb").read()]


@every_way
def test_run_icmp_echo_on_a_host_with_an_uplink(host, way):
    """Three replies and no ICMP on the wire."""
    with host.capture() as cap:
        s = host.sluice(rule("icmp-echo"), way=way, cmd=[
            "ping", "-n", "-c", "3", "-i", "0.2", GOOGLE]).start(ready=False)
        assert s.wait() == 0
        assert "3 received" in s.stdout
    s.check_after()
    assert not [f for f in cap.frames if f.ip.proto == 1]


def test_run_without_rules_accepts_and_shows_everything(host, way):
    with host.sluice([], way=way) as s:
        assert host.udp_arrives(FAR).ttl == 64
        m = s.wait_out(re.compile(r"^.*%s:5999.*$" % re.escape(FAR), re.M))
        assert "ACCEPT" in m.group(0)


def test_rules_of_several_files_run_in_order(host, way):
    with host.sluice(["rule { name = 'a', action = function(p) p.ip.ttl = 10 "
                      "end }", "rule { name = 'b', action = function(p) "
                      "p.ip.ttl = p.ip.ttl * 2 end }"], way=way):
        assert host.udp_arrives(FAR).ttl == 20


def test_run_says_how_it_captures_and_why(host):
    with host.sluice(LOOK, way="wire") as s:
        line = [l for l in s.stderr.splitlines()
                if l.startswith("sluice: capturing")]
        assert len(line) == 1 and "wire" in line[0]
        assert "up0" in line[0] and "up1" in line[0]


# ---- audit ------------------------------------------------------------------

LINE = re.compile(
    r"^\d\d:\d\d:\d\d\.\d{6} (out|in ) +(\w+) +(\S+) > (\S+) .*len (\d+) +"
    r"([A-Z]+) +(\S+)", re.M)


def test_audit_prints_one_line_a_packet(host, way):
    with host.sluice(command="audit", way=way) as s:
        host.udp(b"x" * 20, (FAR, 5000), src=(NEAR0, 4000))
        m = s.wait_out(re.compile(LINE.pattern.replace(
            r"(\S+) > (\S+)", r"(%s:4000) > (%s:5000)" % (NEAR0, FAR)), re.M))
        assert m.group(1) == "out" and m.group(2) == "udp"
        assert m.group(5) == "48" and m.group(6) == "ACCEPT"
        host.ping(FAR, 1, check=1)
        s.wait_out(re.compile(r"icmp +%s > %s" % (NEAR0, FAR)))
        assert "\x1b" not in s.stdout, "no colours but on a terminal"
        s.stop()
        for line in s.stdout.splitlines():
            assert LINE.match(line), line


def test_audit_shows_tcp_flags_and_the_process(host, way):
    with host.sluice(command="audit", way=way) as s, \
            EchoServer(host.far, FAR, 80):
        p = host.near.popen(["nc", FAR, 80], stdin=subprocess.PIPE)
        p.stdin.write("hello\n")
        p.stdin.flush()
        s.wait_out(re.compile(r"tcp +%s:\d+ > %s:80 \[S\]" % (NEAR0, FAR)))
        s.wait_out(re.compile(r" nc/%d$" % p.pid, re.M))
        p.kill()


def test_audit_json_is_one_object_a_line(host, way):
    with host.sluice([], "--json", command="audit", way=way) as s:
        host.udp(b"x" * 20, (FAR, 5000), src=(NEAR0, 4000))
        host.ping(FAR, 1, check=1)
        s.wait_out('"icmp"')
        s.stop()
        objects = [json.loads(l) for l in s.stdout.splitlines()]
        o, = [o for o in objects if o.get("dport") == 5000]
        assert (o["src"], o["dst"], o["sport"], o["proto"], o["len"],
                o["verdict"], o["dir"], o["way"]) == (
            NEAR0, FAR, 4000, "udp", 48, "ACCEPT", "out", way)


def test_json_carries_the_rule_and_the_fields_that_were_changed(host, way):
    with host.sluice("rule { name = 'chg', match = { proto = 'udp' }, action ="
                     " function(pkt) pkt.ip.ttl = 7 return ACCEPT end }",
                     "--audit", "--json", way=way) as s:
        assert host.udp_arrives(FAR).ttl == 7
        s.wait_out("chg")
        s.stop()
        o = [json.loads(l) for l in s.stdout.splitlines()]
        o, = [x for x in o if x.get("dport") == 5999]
        assert o["rule"] == "chg"
        assert "ttl" in json.dumps(o) and "64" in json.dumps(o)


@pytest.mark.parametrize("expr,shown,hidden", [
    (["udp", "port", "5000"], ["5000"], ["5001", "icmp"]),
    (["icmp"], ["icmp"], [":5000", ":5001"]),
    (["dst net 198.51.100.0/24 and udp"], ["5000", "5001"], ["icmp"]),
    (["not", "udp"], ["icmp"], [":5000"]),
    (["greater 500"], ["5001"], [":5000"]),
], ids=["port", "proto", "net", "not", "length"])
def test_audit_with_a_filter_expression(host, way, expr, shown, hidden):
    """pcap-filter syntax narrows what is shown, not what is captured."""
    s = host.sluice([], command="audit", way=way)
    s.args += expr
    with s:
        host.udp(b"x", (FAR, 5000))
        host.udp(b"x" * 600, (FAR, 5001))
        host.ping(FAR, 1, check=1)
        for text in shown:
            s.wait_out(text)
        s.stop()
        for text in hidden:
            assert text not in s.stdout
        for line in s.stdout.splitlines():
            assert LINE.match(line), line


def test_audit_shows_drop_reject_and_the_rule(host, way):
    with host.sluice("rule { name = 'no', match = { dport = 5000 }, action = "
                     "function(p) return DROP end }\nrule { name = 'refuse', "
                     "match = { dport = 5001 }, action = function(p) return "
                     "REJECT end }", "--audit", way=way) as s:
        host.udp(b"x", (FAR, 5000))
        s.wait_out(re.compile(r":5000 .*DROP +no\b"))
        host.udp(b"x", (FAR, 5001))
        s.wait_out(re.compile(r":5001 .*REJECT +refuse\b"))


def test_a_closed_output_ends_nothing_but_the_output(host):
    """audit | head: it ends, and puts back."""
    before = snapshot(host.near)
    p = host.near.popen(["sh", "-c", "%s audit 2>/dev/null | head -n 2"
                         % BINARY])

    def ended():
        host.udp(b"x", (FAR, 5000))
        return p.poll() is not None
    wait_for(ended, "it ends", 20)
    wait_for(lambda: not snapshot_diff(before, snapshot(host.near)),
             "as before", 5)


# ---- check ------------------------------------------------------------------

def test_check_prints_where_each_rule_runs(host):
    path = host.rules("rule { name = 'konst', match = { proto = 'udp', dport "
                      "= 9 }, action = DROP }\nrule { name = 'func', match = "
                      "{ dst = '10.0.0.0/8' }, action = function(p) end }\n")
    before = snapshot(host.near)
    r = sluice(host, "check", path, check=0)
    assert re.search(r"konst", r.stdout)
    assert re.search(r"lua +func", r.stdout)
    assert "10.0.0.0/8" in r.stdout
    # The nftables rules that would be installed.
    assert "egress" in r.stdout and "up0" in r.stdout
    assert r.stderr == ""
    assert snapshot_diff(before, snapshot(host.near)) == ""


def test_what_check_prints_nft_takes(host):
    r = sluice(host, "check", rule("ttl"), check=0)
    tables = re.findall(r"^table .*?^}", r.stdout, re.S | re.M)
    assert tables
    for dev in set(re.findall(r'fwd to "(\w+)"', r.stdout)) | {"tun0"}:
        host.run(["ip", "tuntap", "add", dev, "mode", "tap"])
    host.run(["nft", "-c", "-f", "-"], input="\n".join(tables))


@pytest.mark.parametrize("name", sorted(
    f[:-4] for f in os.listdir(RULES) if f.endswith(".lua"))
    if os.path.isdir(RULES) else [])
def test_check_of_the_library(host, name):
    names, to = "names=x.test", "to=1.2.3.5:80"
    needed = {"block-list": ["file=" + host.file("blocked", "10.0.0.0/8\n")],
              "redirect": ["from=1.2.3.4:80", to],
              "dns-sinkhole": [names], "dns-block": [names],
              "http-host-block": [names], "sni-block": [names],
              "ip-list": ["list=10.0.0.0/8"], "no-leak": ["nets=10.0.0.0/8"],
              "ping-forward": ["prefix=10.0.0.0/8"],
              "port-knock": ["knock=1,2,3"], "quota": ["bytes=1000"],
              "split": ["tunnel=10.0.0.0/8", "via=up1"],
              "raw-syn": [to], "syn-probe": [to]}.get(name, [])
    args = [word for arg in needed for word in ("--arg", arg)]
    r = sluice(host, "check", rule(name), *args, check=0)
    assert r.stderr == ""


def test_check_needs_no_privilege(host):
    program = shutil.copy(BINARY, os.path.join(host.tmp, "sluice"))
    os.chmod(program, 0o755)
    r = host.run(["setpriv", "--reuid=65534", "--regid=65534",
                  "--clear-groups", program, "check", host.rules(LOOK)])
    assert "look" in r.stdout


# ---- down, doctor -----------------------------------------------------------

def test_down_is_harmless_when_there_is_nothing(host):
    before = snapshot(host.near)
    r = sluice(host, "down", check=0)
    assert len(r.stderr.splitlines()) <= 1
    assert snapshot_diff(before, snapshot(host.near)) == ""


def test_doctor_is_content_with_a_plain_host(host):
    before = snapshot(host.near)
    r = sluice(host, "doctor", check=0)
    assert not re.search(r"^error", r.stdout, re.M), r.stdout
    assert snapshot_diff(before, snapshot(host.near)) == ""
    r = sluice(host, "doctor", "--json", check=0)
    assert all(json.loads(l) for l in r.stdout.splitlines())


@pytest.mark.parametrize("change,says", [
    ("nft 'table ip f { chain FORWARD { type filter hook forward priority 0; "
     "policy drop; }; }'", r"(?i)forward"),
    ("nft 'table ip n { chain p { type nat hook postrouting priority 100; "
     "oifname \"up0\" masquerade; }; }'", r"(?i)nat|translat|masquerade"),
    ("ip tuntap add tun0 mode tun", r"tun0"),
    ("ip rule add pref 100 from 10.5.5.5 lookup 500", r"100"),
    ("ip route add 10.99.0.0/16 via 10.66.0.2 table 100", r"table 100|100"),
    ("ip rule add pref 500 fwmark 0x1000/0x1000 lookup 500", r"mark"),
    ("nft 'table ip m { chain p { type filter hook prerouting priority 0; "
     "meta mark set meta mark or 0x2000; }; }'", r"mark"),
    ("nft 'table netdev e { chain p { type filter hook egress device up0 "
     "priority 0; }; }'", r"(?i)egress|up0"),
    ("nft 'table inet o { chain o { type filter hook output priority 0; "
     "policy drop; ct state new,established accept; }; }'",
     r"(?i)state|output"),
], ids=["forward_drop", "masquerade", "tun0", "pref", "table", "mark_rule",
        "mark_nft", "egress_hook", "output_state"])
def test_doctor_says_what_would_interfere(host, change, says):
    plain = set(sluice(host, "doctor").stdout.splitlines())
    host.run(change)
    more = set(sluice(host, "doctor").stdout.splitlines()) - plain
    assert more, "doctor notices"
    assert re.search(says, "\n".join(more)), more


def test_doctor_tells_of_the_host_before_it_runs(host):
    """What doctor calls an error run refuses, in the same breath."""
    host.run("ip tuntap add tun0 mode tun")
    r = sluice(host, "doctor", check=1)
    assert re.search(r"^error.*tun0", r.stdout, re.M)


# ---- lab --------------------------------------------------------------------

class User:
    """An ordinary user, with a program and rules it may read, and a
    /dev/net/tun of mode 0666 in a mount namespace of its own."""

    def __init__(self, host, mode="0666"):
        self.host = host
        self.program = shutil.copy(BINARY, os.path.join(host.tmp, "sluice"))
        os.chmod(self.program, 0o755)
        self.mode = mode

    def run(self, *args, **kw):
        script = ("mount -t tmpfs -o mode=755 none /dev/net && "
                  "mknod -m %s /dev/net/tun c 10 200 && "
                  "chmod %s /dev/net/tun && cd / && "
                  "exec setpriv --reuid=65534 --regid=65534 --clear-groups "
                  "--inh-caps=-all --bounding-set=-all \"$@\"" % (
                      self.mode, self.mode))
        r = self.host.near.run(["unshare", "-m", "sh", "-c", script, "sh",
                                self.program, *args], check=False,
                               timeout=40, **kw)
        assert_no_sanitizer_report(r.stderr)
        return r


def library(host, name):
    with open(rule(name)) as f:
        return host.file(name + ".lua", f.read())


def test_lab_icmp_echo_as_an_ordinary_user(host):
    """sluice lab rules/icmp-echo.lua -- ping -c 3 8.8.8.8: three replies."""
    before = snapshot(host.near)
    with host.capture() as cap:
        r = User(host).run("lab", library(host, "icmp-echo"), "--", "ping",
                           "-c", "3", "-i", "0.2", GOOGLE)
    assert r.returncode == 0, r.stdout + r.stderr
    assert "3 received" in r.stdout
    assert not cap.frames, "nothing but the rules answers"
    assert snapshot_diff(before, snapshot(host.near)) == ""


@pytest.mark.parametrize("way", ["route", "wire"])
def test_lab_by_each_way(host, way):
    r = User(host).run("lab", "--capture", way, library(host, "icmp-echo"),
                       "--", "ping", "-c", "2", "-i", "0.2", "192.0.2.1")
    assert r.returncode == 0, r.stdout + r.stderr
    assert "2 received" in r.stdout


def test_lab_as_root(host):
    before = snapshot(host.near)
    r = sluice(host, "lab", rule("icmp-echo"), "--", "ping", "-c", "2", "-i",
               "0.2", "192.0.2.1", check=0)
    assert "2 received" in r.stdout
    assert snapshot_diff(before, snapshot(host.near)) == ""


def test_lab_nothing_but_the_rules_answers(host):
    r = User(host).run("lab", library(host, "audit"), "--", "ping", "-c", "1",
                       "-W", "1", GOOGLE)
    assert r.returncode == 1
    assert "0 received" in r.stdout


def test_lab_ends_with_the_status_of_its_command(host):
    assert User(host).run("lab", library(host, "ttl"), "--", "sh", "-c",
                          "exit 5").returncode == 5


def test_lab_without_a_command_starts_a_shell(host):
    r = User(host).run("lab", library(host, "icmp-echo"),
                       input="ping -c 1 -W 3 192.0.2.1\nexit 4\n")
    assert r.returncode == 4, r
    assert "1 received" in r.stdout


def test_lab_says_the_mode_of_a_closed_dev_net_tun(host):
    r = User(host, "0600").run("lab", library(host, "icmp-echo"), "--", "true")
    assert r.returncode == 1
    assert "0600" in one_line(r.stderr)


def test_lab_traceroute_through_fake_hops(host):
    r = User(host).run("lab", library(host, "fake-hops"), "--", "traceroute",
                       "-n", "-q", "1", "-w", "3", FAR)
    hops = [l.split()[1] for l in r.stdout.splitlines()[1:]]
    assert hops == ["192.0.2.11", "192.0.2.12", "192.0.2.13", FAR], (
        r.stdout + r.stderr)


def test_lab_dns_sinkhole_answers_dig(host):
    r = User(host).run("lab", library(host, "dns-sinkhole"), "--arg",
                       "names=example.com", "--arg", "to=192.0.2.7", "--",
                       "dig", "+short", "+time=3", "+tries=1",
                       "@192.0.2.53", "www.example.com")
    assert r.stdout.strip() == "192.0.2.7", r.stdout + r.stderr


# ---- beside IPv6 ------------------------------------------------------------

def test_ipv6_passes(host, way):
    for ns, dev, addr in ((host.near, "up0", "fd00:66::1"),
                          (host.far, "fu0", "fd00:66::2")):
        ns.sysctl("net.ipv6.conf.%s.disable_ipv6" % dev, 0)
        ns.sysctl("net.ipv6.conf.%s.accept_dad" % dev, 0)
        ns.ip("addr add %s/64 dev %s nodad" % (addr, dev))
    with host.sluice("policy(DROP)\n" + LOOK, way=way):
        r = host.run(["ping", "-n", "-c", 2, "-i", 0.2, "-W", 3,
                      "fd00:66::2"], check=False)
        assert "2 received" in r.stdout
