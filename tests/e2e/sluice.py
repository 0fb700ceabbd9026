# SPDX-License-Identifier: GPL-2.0-or-later
"""The program under test: started, waited for, ended, judged."""
import os
import re
import signal
import subprocess
import time

from net import PATIENCE, snapshot, snapshot_diff, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BINARY = os.path.abspath(os.environ.get(
    "SLUICE", os.path.join(ROOT, "build", "dev", "sluice")))
RULES = os.path.join(ROOT, "rules")

SANITIZER = re.compile(
    r"(Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer|runtime error:")
READY = re.compile(r"^sluice: capturing", re.M)


def assert_no_sanitizer_report(text):
    m = SANITIZER.search(text)
    assert not m, "a sanitizer reports:\n" + text[max(0, m.start() - 300):][:6000]


def rule(name):
    """A file of the rule library."""
    return os.path.join(RULES, name + ".lua")


def children(pid):
    out = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % entry) as f:
                stat = f.read()
        except OSError:
            continue
        if int(stat.rpartition(")")[2].split()[1]) == pid:
            out.append(int(entry))
    return out


class Sluice:
    """sluice run … in the namespace of a host.

    rules: text of a rule file, or paths, or a list of either.
    As a context manager it is ended by SIGTERM, must end with status 0, must
    leave the host as it was, and must not have upset a sanitizer.
    """

    def __init__(self, host, rules=(), *options, way=None, cmd=None,
                 command="run", env=None):
        if isinstance(rules, str):
            rules = [rules]
        self.host = host
        self.paths = [host.rules(r) if "\n" in r or "(" in r or "{" in r else r
                      for r in rules]
        args = [BINARY, command]
        if way:
            args += ["--capture", way]
        args += [str(o) for o in options] + self.paths
        if cmd is not None:
            args += ["--"] + [str(c) for c in cmd]
        self.args = args
        self.env = dict(os.environ, **(env or {}))
        self.proc = None
        self.before = None
        self.same_after = True  # a test that changes the host clears it
        self._base = os.path.join(host.tmp, "sluice-%d" % time.monotonic_ns())

    def start(self, ready=True, timeout=20):
        assert os.access(BINARY, os.X_OK), "no program at " + BINARY
        self.before = snapshot(self.host.near)
        self._out = open(self._base + ".out", "w")
        self._err = open(self._base + ".err", "w")
        self.proc = self.host.near.popen(self.args, stdout=self._out,
                                         stderr=self._err, env=self.env)
        if ready:
            self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout=20):
        wait_for(lambda: READY.search(self.stderr) or
                 self.proc.poll() is not None,
                 lambda: "sluice says that it captures:\n" + self.stderr,
                 timeout)
        assert READY.search(self.stderr), "sluice ended with %s:\n%s" % (
            self.proc.returncode, self.stderr)

    @staticmethod
    def _read(path):
        try:
            with open(path, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    @property
    def stderr(self):
        return self._read(self._base + ".err")

    @property
    def stdout(self):
        return self._read(self._base + ".out")

    @property
    def pid(self):
        return self.proc.pid

    @property
    def returncode(self):
        return self.proc.poll()

    def workers(self):
        """Children without root's identity: the packet path."""
        out = []
        for pid in children(self.pid):
            try:
                with open("/proc/%d/status" % pid) as f:
                    s = f.read()
                exe = os.readlink("/proc/%d/exe" % pid)
            except OSError:
                continue
            uid = re.search(r"^Uid:\s+(\d+)", s, re.M)
            if uid and uid.group(1) != "0" and \
                    os.path.basename(exe).startswith("sluice"):
                out.append(pid)
        return out

    def worker(self):
        """The only one (a new one may be on its way up)."""
        return wait_for(lambda: (self.workers() + [0])[0]
                        if len(self.workers()) == 1 else 0, "one worker")

    def wait_out(self, text, timeout=10, stream="stdout"):
        """Waits until a stream holds text (a compiled pattern, or words)."""
        def found():
            have = getattr(self, stream)
            return text.search(have) if hasattr(text, "search") else \
                text in have
        return wait_for(found, lambda: "%s has %r; it is:\n%s" % (
            stream, text, getattr(self, stream)[-3000:]), timeout)

    def wait_err(self, text, timeout=10):
        return self.wait_out(text, timeout, "stderr")

    def wait(self, timeout=20):
        try:
            return self.proc.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError("sluice still runs after %g s:\n%s" % (
                timeout, self.stderr)) from None

    def stop(self, sig=signal.SIGTERM, timeout=15):
        """Ends it, and checks all that must hold after an end."""
        if self.proc.poll() is None:
            self.proc.send_signal(sig)
        self.wait(timeout)
        self.check_after()
        assert self.proc.returncode == 0, "status %d:\n%s" % (
            self.proc.returncode, self.stderr)

    def check_after(self):
        assert_no_sanitizer_report(self.stderr)
        if self.same_after:
            self.assert_put_back()

    def assert_put_back(self, timeout=3):
        diff = [None]

        def same():
            diff[0] = snapshot_diff(self.before, snapshot(self.host.near))
            return not diff[0]
        wait_for(same, lambda: "the host is as before; changed:\n" + diff[0],
                 timeout)

    def kill(self):
        """As kill -9 of the supervisor; no check."""
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait(10 * PATIENCE)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.abandon()
            raise

    def abandon(self):
        self.kill()
        if os.access(BINARY, os.X_OK):
            self.host.near.run([BINARY, "down"], check=False)

    def __exit__(self, kind, value, tb):
        if kind is None:
            self.stop()
        else:
            if self.proc and self.proc.poll() is None:
                self.proc.terminate()
                try:
                    self.proc.wait(5 * PATIENCE)
                except subprocess.TimeoutExpired:
                    pass
            self.abandon()
            print("--- sluice %s\n%s" % (" ".join(self.args[1:]),
                                         self.stderr[-4000:]))


def sluice(host, *args, check=None, timeout=30, ns=None, **kw):
    """Runs one sluice command to its end: CompletedProcess."""
    assert os.access(BINARY, os.X_OK), "no program at " + BINARY
    r = (ns or host.near).run([BINARY] + list(args), check=False,
                              timeout=timeout, **kw)
    assert_no_sanitizer_report(r.stderr)
    if check is not None:
        assert r.returncode == check, "status %d:\n%s%s" % (
            r.returncode, r.stdout, r.stderr)
    return r


def one_line(text):
    lines = text.splitlines()
    assert len(lines) == 1, "one line on standard error:\n" + text
    return lines[0]
