# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad input: one line on standard error, status 2 (or 1 when only running
could tell), and the host unchanged."""
import os
import re

import pytest

from host import FAR, LOOK
from net import snapshot, snapshot_diff
from sluice import BINARY, one_line, rule, sluice


def refused(host, args, status, says, **kw):
    """Runs sluice ARGS, which must fail as promised; its line."""
    before = snapshot(host.near)
    r = sluice(host, *args, check=status, **kw)
    line = one_line(r.stderr)
    assert line.startswith("sluice: "), line
    assert re.search(says, line), line
    assert r.stdout == ""
    assert snapshot_diff(before, snapshot(host.near)) == ""
    return line


BAD_RULES = {
    # name: (text, what the line says)
    "syntax_error": ("rule {\n  name = 'x',\n  action = function(pkt) return "
                     "end end\n}\n", r"rule\d+\.lua:3"),
    "unfinished": ("rule {\n", r"rule\d+\.lua:\d"),
    "unknown_match_key": ("\nrule { match = { protocol = 'tcp' }, action = "
                          "DROP }\n", r"rule\d+\.lua:2.*protocol"),
    "unknown_rule_key": ("rule { nam = 'x', action = DROP }\n",
                         r"rule\d+\.lua:1.*nam\b"),
    "bad_cidr": ("rule { match = { dst = '10.0.0.0/33' }, action = DROP }\n",
                 r"rule\d+\.lua:1.*10\.0\.0\.0/33"),
    "bad_address": ("rule { match = { src = '10.0.0.256' }, action = DROP }\n",
                    r"rule\d+\.lua:1.*10\.0\.0\.256"),
    "bad_port": ("rule { match = { dport = 65536 }, action = DROP }\n",
                 r"rule\d+\.lua:1.*65536"),
    "bad_range": ("rule { match = { dport = '9-3' }, action = DROP }\n",
                  r"rule\d+\.lua:1.*9-3"),
    "bad_protocol": ("rule { match = { proto = 'tpc' }, action = DROP }\n",
                     r"rule\d+\.lua:1.*tpc"),
    "bad_flags": ("rule { match = { tcp_flags = 'SX' }, action = DROP }\n",
                  r"rule\d+\.lua:1.*SX"),
    "bad_rewrite": ("rule { rewrite = { ttl = 256 } }\n",
                    r"rule\d+\.lua:1.*(256|ttl)"),
    "bad_rewrite_key": ("rule { rewrite = { hops = 2 } }\n",
                        r"rule\d+\.lua:1.*hops"),
    "action_of_the_wrong_type": ("rule { action = 'DROP' }\n",
                                 r"rule\d+\.lua:1.*action"),
    "action_misspelt": ("rule { action = DORP }\n", r"rule\d+\.lua:1"),
    "policy_of_the_wrong_type": ("policy('drop')\n", r"rule\d+\.lua:1"),
    "capture_of_the_wrong_dir": ("capture { dir = { 'sideways' } }\n",
                                 r"sideways"),
    "a_user_that_is_none": (
        "rule { match = { user = 'nobody-at-all' }, action = DROP }\n",
        r"rule\d+\.lua:1.*user"),
    "error_at_load": ("local x = nil\nx.y = 1\n", r"rule\d+\.lua:2"),
    "endless_loop_at_load": ("local n = 0\nwhile true do n = n + 1 end\n",
                             r"rule\d+\.lua:2"),
    "endless_loop_in_pcall_at_load": (
        "while true do\n  pcall(function() while true do end end)\nend\n",
        r"rule\d+\.lua:\d"),
    "memory_bomb": ("local t = {}\nwhile true do t[#t + 1] = "
                    "('x'):rep(1 << 20) .. #t end\n", r"memory"),
    "one_huge_string": ("local s = ('x'):rep(1 << 30)\n", r"memory"),
    "a_missing_module": ("require 'no-such-module'\n", r"no-such-module"),
    "no_way_out_io": ("io.open('/etc/passwd')\n", r"rule\d+\.lua:1"),
    "no_way_out_os": ("os.execute('true')\n", r"rule\d+\.lua:1"),
    "no_bytecode": ("assert(load(string.dump(function() end)))()\n",
                    r"rule\d+\.lua:1"),
    "a_missing_set_file": ("set.file('/no/such/file')\n", r"/no/such/file"),
    "a_bad_set": ("set { '10.0.0.0/40' }\n", r"10\.0\.0\.0/40"),
}


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize("name", BAD_RULES)
def test_a_rule_file_with(host, command, name):
    text, says = BAD_RULES[name]
    refused(host, [command, host.rules(text)], 2, says)


def test_a_missing_rule_file(host):
    refused(host, ["run", "/no/such/rule.lua"], 2, "/no/such/rule.lua")
    refused(host, ["check", "/no/such/rule.lua"], 2, "/no/such/rule.lua")


def test_a_rule_file_that_is_a_directory(host):
    refused(host, ["run", host.tmp], 2, re.escape(host.tmp))


def test_a_rule_file_of_binary_rubbish(host):
    path = host.file("rubbish.lua", b"\x1bLua\x54\x00\x19\x93\r\n\x1a\n" +
                     os.urandom(200))
    refused(host, ["run", path], 2, "rubbish.lua")


def test_an_error_in_the_second_of_two_files(host):
    refused(host, ["run", host.rules(LOOK), host.rules("rule {")], 2,
            r"rule2\.lua:1")


def test_a_bad_line_in_a_set_file_is_named(host):
    path = host.file("list.txt", "10.0.0.0/8\n# fine\n300.1.1.1\n")
    refused(host, ["run", rule("block-list"), "--arg", "file=" + path], 2,
            r"list\.txt:3")


@pytest.mark.parametrize("library,argument", [
    ("block-list", "file"), ("redirect", "from"), ("dns-sinkhole", "names")])
def test_a_library_rule_without_its_argument(host, library, argument):
    refused(host, ["run", rule(library)], 2, argument)


@pytest.mark.parametrize("args,says", [
    (["run", "--no-such-option"], "no-such-option"),
    (["run", "-Q"], "Q"),
    (["frobnicate"], "frobnicate"),
    (["run", "--capture", "maybe"], "maybe"),
    (["run", "--capture"], "capture"),
    (["run", "--table", "ten"], "ten"),
    (["run", "--table", "0"], "table"),
    (["run", "--pref", "-1"], "pref"),
    (["run", "--mark", "0x1"], "mark"),
    (["run", "--mark", "0x1000/0x7000"], "mark"),
    (["run", "--workers", "0"], "workers"),
    (["run", "--workers", "1000"], "workers"),
    (["run", "--dev", "a-name-that-is-too-long"], "dev"),
    (["run", "--dev", "a/b"], "dev"),
    (["run", "--arg", "novalue"], "novalue"),
    (["run", "--user", "no-such-user"], "no-such-user"),
    (["run", "--memory", "lots"], "lots"),
    (["check"], "check"),
    (["lab"], "lab"),
    (["down", "now"], "down"),
    (["doctor", "who"], "doctor"),
    (["audit", "tcp port port"], "tcp port port"),
], ids=lambda v: "_".join(v) if isinstance(v, list) else "")
def test_wrong_usage(host, args, says):
    refused(host, args, 2, says)


def test_a_command_that_does_not_exist(host):
    before = snapshot(host.near)
    s = host.sluice(LOOK, cmd=["/no/such/command"]).start(ready=False)
    assert s.wait() in (1, 126, 127)
    assert "/no/such/command" in s.stderr
    s.check_after()
    assert snapshot_diff(before, snapshot(host.near)) == ""


# ---- at run time: errors in actions -----------------------------------------

BAD_ACTIONS = {
    "a_verdict_of_the_wrong_type": "return 42",
    "a_verdict_that_is_a_word": "return 'DROP'",
    "an_endless_loop": "while true do end",
    "an_endless_loop_in_pcall": "while true do pcall(function() while true do "
                                "end end) end",
    "a_memory_bomb": "local t = {} while true do "
                     "t[#t + 1] = ('x'):rep(1 << 20) .. #t end",
    "deep_recursion": "local function f() return 1 + f() end f()",
    "an_unknown_field": "pkt.ip.hops = 3",
    "a_field_out_of_range": "pkt.ip.ttl = 256",
    "an_address_that_is_none": "pkt.dst = '1.2.3'",
}


@pytest.mark.parametrize("name", BAD_ACTIONS)
def test_an_action_with(host, way, name):
    """One line that names rule, file and line; the packet goes as it came;
    the next packet starts fresh."""
    with host.sluice("rule {\n  name = 'bad',\n  match = { dport = 5999 },\n"
                     "  action = function(pkt)\n%s\n  end\n}\n"
                     "rule { name = 'good', match = { dport = 5998 },"
                     " rewrite = { ttl = 9 } }\n" % BAD_ACTIONS[name],
                     way=way) as s:
        d = host.udp_arrives(FAR, timeout=20)
        assert d and d.ttl == 64
        m = s.wait_err(re.compile(r"^sluice: .*bad.*$", re.M))
        assert re.search(r"rule\d+\.lua:\d", m.group(0)), m.group(0)
        assert host.udp_arrives(FAR, timeout=20)
        s.stop()


# ---- what the host lacks, or has already ------------------------------------

def test_no_root(host):
    # The program may live where only root gets to.
    program = os.path.join(host.tmp, "sluice")
    with open(BINARY, "rb") as f:
        host.file("sluice", f.read())
    os.chmod(program, 0o755)
    path = host.rules(LOOK)
    before = snapshot(host.near)
    r = host.run(["setpriv", "--reuid=65534", "--regid=65534",
                  "--clear-groups", "--inh-caps=-all", program, "run", path],
                 check=False)
    assert r.returncode == 1, r
    assert re.search(r"root|privilege|CAP_NET_ADMIN", one_line(r.stderr))
    assert snapshot_diff(before, snapshot(host.near)) == ""


def test_no_dev_net_tun(host):
    before = snapshot(host.near)
    r = host.run(["unshare", "-m", "sh", "-c",
                  "mount -t tmpfs none /dev/net && exec %s run %s" % (
                      BINARY, host.rules(LOOK))], check=False)
    assert r.returncode == 1, r
    assert "/dev/net/tun" in one_line(r.stderr)
    assert snapshot_diff(before, snapshot(host.near)) == ""


def test_tun0_taken(host, way):
    host.run("ip tuntap add tun0 mode tun")
    refused(host, ["run", "--capture", way, host.rules(LOOK)], 1, "tun0")


def test_tun0_taken_by_a_device_of_another_kind(host, way):
    host.near.ip("link add tun0 type veth peer name tun1")
    refused(host, ["run", "--capture", way, host.rules(LOOK)], 1, "tun0")


def test_the_table_taken(host, way):
    host.near.ip("route add 10.99.0.0/16 via 10.66.0.2 table 100")
    refused(host, ["run", "--capture", way, host.rules(LOOK)], 1,
            r"table.*100|100.*table")


def test_the_mark_taken_by_an_ip_rule(host, way):
    host.near.ip("rule add pref 500 fwmark 0x1000/0x1000 lookup 500")
    refused(host, ["run", "--capture", way, host.rules(LOOK)], 1, "mark")


def test_the_pref_taken(host, way):
    host.near.ip("rule add pref 100 from 10.5.5.5 lookup 500")
    refused(host, ["run", "--capture", way, host.rules(LOOK)], 1,
            r"pref.*100|100.*pref")


@pytest.mark.parametrize("options", [
    [], ["--dev", "sl1", "--table", "101", "--pref", "101", "--mark",
         "0x10000/0x30000"]], ids=["same", "with_other_names"])
def test_a_second_instance(host, way, options):
    with host.sluice(LOOK, way=way):
        refused(host, ["run", "--capture", way, *options, host.rules(LOOK)],
                1, "instance|runs|running|taken|tun0")
        host.ping(FAR, 1, check=1)


def test_an_instance_elsewhere_is_none_of_ours(host, way):
    """One instance a network namespace."""
    with host.sluice(LOOK, way=way):
        other = host.netns("other")
        other.ip("link add up0 type veth peer name x\n"
                 "addr add 10.1.1.1/24 dev up0\nlink set up0 up")
        r = sluice(host, "run", "--capture", way, host.rules(LOOK), "--",
                   "true", ns=other)
        assert r.returncode == 0, r.stderr


@pytest.mark.parametrize("command", ["run", "audit", "doctor", "check", "lab",
                                     "down"])
def test_closed_standard_streams(host, command):
    """Started without standard input, output and error it does no harm."""
    before = snapshot(host.near)
    args = {"run": "run %s -- true" % host.rules(LOOK), "audit":
            "audit -- true", "check": "check " + host.rules(LOOK), "lab":
            "lab %s -- true" % host.rules(LOOK)}.get(command, command)
    host.run("%s %s <&- >&- 2>&-" % (BINARY, args), check=False)
    assert snapshot_diff(before, snapshot(host.near)) == ""
