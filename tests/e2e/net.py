# SPDX-License-Identifier: GPL-2.0-or-later
"""Network namespaces: making them, running things in them, taking them away.

Nothing here touches the machine's own network, and nothing here knows sluice.
"""
import contextlib
import ctypes
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PREFIX = "slt"
# Time limits are for a machine of its day; an emulated one gets more.
PATIENCE = float(os.environ.get("SLUICE_TEST_PATIENCE", "1"))
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_serial = itertools.count(1)


def wait_for(cond, what, timeout=10.0, step=0.02):
    """Polls cond until it is true; its value, or AssertionError(what)."""
    timeout *= PATIENCE
    end = time.monotonic() + timeout
    while True:
        v = cond()
        if v:
            return v
        if time.monotonic() > end:
            raise AssertionError(
                "within %g s: %s" % (timeout, what() if callable(what) else what))
        time.sleep(step)


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))


class Netns:
    def __init__(self, label):
        self.name = "%s%dx%d%s" % (PREFIX, os.getpid(), next(_serial), label)
        self.children = []
        subprocess.run(["ip", "netns", "add", self.name], check=True,
                       timeout=10 * PATIENCE)
        with self.entered():
            for dev in ("all", "default"):
                path = "/proc/sys/net/ipv6/conf/%s/disable_ipv6" % dev
                if os.path.exists(path):
                    with open(path, "w") as f:
                        f.write("1")
        self.ip("link set lo up")

    @contextlib.contextmanager
    def entered(self):
        """The calling thread inside: sockets made here stay here."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open("/run/netns/" + self.name, os.O_RDONLY)
        try:
            _setns(there)
            yield
        finally:
            _setns(own)
            os.close(there)
            os.close(own)

    def argv(self, cmd):
        if isinstance(cmd, str):
            cmd = ["sh", "-c", cmd]
        return ["ip", "netns", "exec", self.name] + [str(c) for c in cmd]

    def run(self, cmd, check=True, timeout=20, **kw):
        """Runs cmd (a list, or a line for sh); text in, text out."""
        kw.setdefault("text", True)
        kw.setdefault("stdin", subprocess.DEVNULL if "input" not in kw else None)
        if "input" in kw:
            kw.pop("stdin")
        r = subprocess.run(self.argv(cmd), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE,
                           timeout=timeout * PATIENCE, **kw)
        if check and r.returncode != 0:
            raise AssertionError("%s: status %d\n%s%s" % (
                cmd, r.returncode, r.stdout, r.stderr))
        return r

    def popen(self, cmd, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        kw.setdefault("stdout", subprocess.PIPE)
        kw.setdefault("stderr", subprocess.STDOUT)
        kw.setdefault("text", True)
        p = subprocess.Popen(self.argv(cmd), **kw)
        self.children.append(p)
        return p

    def ip(self, lines):
        """One or several ip commands, a line each, as one batch."""
        r = subprocess.run(["ip", "-n", self.name, "-batch", "-"], text=True,
                           input=lines.strip() + "\n", capture_output=True,
                           timeout=10 * PATIENCE)
        assert r.returncode == 0, "ip: %s\n%s" % (lines, r.stderr)
        return r.stdout

    def nft(self, text):
        return self.run(["nft", "-f", "-"], input=text).stdout

    def sysctl(self, key, value=None):
        path = "/proc/sys/" + key.replace("/", "\0").replace(
            ".", "/").replace("\0", ".")
        with self.entered():
            if value is None:
                with open(path) as f:
                    return f.read().strip()
            with open(path, "w") as f:
                f.write(str(value))

    def socket(self, *args):
        with self.entered():
            return socket.socket(*args)

    def pids(self):
        r = subprocess.run(["ip", "netns", "pids", self.name], text=True,
                           capture_output=True, timeout=10 * PATIENCE)
        return [int(p) for p in r.stdout.split()]

    def close(self):
        close_netns(self.name)
        for p in self.children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                p.wait(5)
            for f in (p.stdin, p.stdout, p.stderr):
                if f:
                    f.close()


def close_netns(name):
    """Ends what still runs in a namespace of ours and removes it."""
    assert name.startswith(PREFIX)
    r = subprocess.run(["ip", "netns", "pids", name], text=True,
                       capture_output=True, timeout=10 * PATIENCE)
    for pid in r.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            if int(pid) != os.getpid():
                os.kill(int(pid), signal.SIGKILL)
    subprocess.run(["ip", "netns", "del", name], capture_output=True,
                   timeout=10 * PATIENCE)


def clean_leftovers():
    """Removes namespaces and files whose test run is dead (killed before it
    could)."""
    for name in os.listdir(tempfile.gettempdir()):
        m = re.match(PREFIX + r"(\d+)x\w+$", name)
        if m and not os.path.exists("/proc/" + m.group(1)):
            shutil.rmtree(os.path.join(tempfile.gettempdir(), name),
                          ignore_errors=True)
    try:
        names = os.listdir("/run/netns")
    except FileNotFoundError:
        return
    for name in names:
        m = re.match(PREFIX + r"(\d+)x\d", name)
        if m and not os.path.exists("/proc/" + m.group(1)):
            close_netns(name)


# ---- what this kernel can do ------------------------------------------------

_known = {}


def kernel_can(what):
    """'wireguard', 'vxlan', 'netem', 'skbedit', 'esp', …: tried, not looked
    up."""
    if what not in _known:
        ns = Netns("probe")
        try:
            if what in ("wireguard", "dummy"):
                r = ns.run(["ip", "link", "add", "probe0", "type", what],
                           check=False)
            elif what == "vxlan":
                r = ns.run("ip link add probe0 type vxlan id 5 remote "
                           "192.0.2.1 dstport 4789", check=False)
            elif what in ("macvlan", "ipvlan"):
                r = ns.run("ip link add probe1 type veth && ip link add link "
                           "probe1 name probe0 type " + what, check=False)
            elif what == "xfrm":
                r = ns.run("ip xfrm policy count", check=False)
            elif what == "netem":
                r = ns.run(["tc", "qdisc", "add", "dev", "lo", "root",
                            "netem", "delay", "1ms"], check=False)
            elif what == "skbedit":
                r = ns.run("tc qdisc add dev lo clsact && tc filter add dev lo "
                           "ingress protocol all u32 match u32 0 0 "
                           "action skbedit mark 1", check=False)
            elif what == "esp":
                r = ns.run("ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto "
                           "esp spi 1 mode tunnel auth 'hmac(sha256)' "
                           "0x%s enc 'cbc(aes)' 0x%s" % (
                               "11" * 32, "22" * 16), check=False)
            elif what in ("fq_codel", "tbf"):
                r = ns.run("tc qdisc add dev lo root " + what + (
                    " rate 1gbit burst 100k latency 50ms"
                    if what == "tbf" else ""), check=False)
            else:
                raise ValueError(what)
            _known[what] = r.returncode == 0
        finally:
            ns.close()
    return _known[what]


# ---- the state of a host, for comparing before and after --------------------

VOLATILE_SYSCTL = re.compile(
    r"nf_conntrack_(count|buckets|max)$|/neigh/|nf_log/|tcp_fastopen_key|"
    r"stable_secret|/route/flush|udp_mem|tcp_mem|fib_sync_mem|"
    r"net/core/|somaxconn|nf_conntrack_expect_max|net/bridge/|"
    r"mptcp|net/sctp|net/unix|net/vsock")


def _sysctls(ns):
    found = {}
    with ns.entered():
        for top, _, files in os.walk("/proc/sys/net"):
            for name in files:
                path = os.path.join(top, name)
                if VOLATILE_SYSCTL.search(path):
                    continue
                try:
                    with open(path) as f:
                        found[path[len("/proc/sys/"):]] = f.read().strip()
                except OSError:
                    pass
    return found


def _without(text, *patterns):
    for p in patterns:
        text = re.sub(p, "", text)
    return sorted(line.rstrip() for line in text.splitlines() if line.strip())


def snapshot(ns):
    """What sluice must leave as it found it: {topic: lines}."""
    ip = lambda *a: subprocess.run(("ip", "-n", ns.name) + a, text=True,
                                   capture_output=True, check=True,
                                   timeout=10 * PATIENCE).stdout
    links = _without(ip("-d", "-o", "link", "show"),
                     r" (state|qlen) \S+", r"promiscuity \d+ ?",
                     r"allmulti \d+ ?",
                     r"\w+_timer +\S+")
    snap = {
        "ip rule": ip("rule").splitlines(),
        "ip -6 rule": ip("-6", "rule").splitlines(),
        "ip route show table all": _without(
            ip("route", "show", "table", "all"), r"expires \d+sec ?",
            r" ?linkdown"),
        "nft list ruleset": ns.run(["nft", "-s", "list", "ruleset"]
                                   ).stdout.splitlines(),
        "links": links,
        "addresses": _without(ip("-o", "addr"), r"(valid|preferred)_lft \S+"),
        "qdiscs": ns.run(["tc", "qdisc", "show"]).stdout.splitlines(),
        "sysctl": ["%s = %s" % kv for kv in sorted(_sysctls(ns).items())],
    }
    devs = [re.match(r"\d+: ([^:@]+)", l).group(1)
            for l in ip("-o", "link").splitlines()]
    for d in devs:
        if any("clsact dev %s" % d in "%s" % q or
               re.search(r"qdisc (clsact|ingress) \S+ dev %s\b" % d, q)
               for q in snap["qdiscs"]):
            snap["filters " + d] = ns.run(
                "tc filter show dev %s ingress; tc filter show dev %s egress"
                % (d, d), check=False).stdout.splitlines()
    return snap


def snapshot_diff(a, b):
    """'' when equal, else one line per difference."""
    out = []
    for topic in sorted(set(a) | set(b)):
        x, y = a.get(topic, []), b.get(topic, [])
        out += ["%s: - %s" % (topic, l) for l in x if l not in y]
        out += ["%s: + %s" % (topic, l) for l in y if l not in x]
        if sorted(x) == sorted(y) and x != y and topic == "ip rule":
            out.append("%s: order changed" % topic)
    return "\n".join(out)
