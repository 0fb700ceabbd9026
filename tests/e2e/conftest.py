# SPDX-License-Identifier: GPL-2.0-or-later
"""End-to-end tests: the program on a real kernel, in network namespaces of
its own, judged from the far side. They need root; the program under test is
$SLUICE, else build/dev/sluice."""
import os
import signal
import subprocess

import pytest

import net
from host import Host
from sluice import BINARY

TEST_SECONDS = 90


def pytest_configure(config):
    config.addinivalue_line("markers", "slow(seconds): may take this long")


def pytest_sessionstart(session):
    if session.config.option.collectonly:
        return
    if os.geteuid() != 0:
        pytest.exit("the end-to-end tests make network namespaces and must be "
                    "run by root: sudo scripts/test", returncode=1)
    net.clean_leftovers()
    # The kernel loads it for the first nftables rule that says notrack, and
    # it brings sysctls into every namespace: that is no setting of sluice's.
    subprocess.run(["modprobe", "-q", "nf_conntrack"], check=False)


def pytest_report_header(config):
    return "sluice under test: %s, kernel %s" % (BINARY, os.uname().release)


class Overdue(Exception):
    pass


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """No test runs for ever, whatever hangs."""
    mark = item.get_closest_marker("slow")
    seconds = mark.args[0] if mark else TEST_SECONDS

    def overdue(*_):
        raise Overdue("test ran longer than %d s" % seconds)
    old = signal.signal(signal.SIGALRM, overdue)
    signal.alarm(int(seconds * net.PATIENCE))
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)


@pytest.fixture
def host():
    """Whole packets on the wire: what the far side captures is what a
    network would carry."""
    h = Host()
    yield h
    h.close()


@pytest.fixture
def offload_host():
    """Offloads as the kernel sets them: super-packets cross the links."""
    h = Host(offload=True)
    yield h
    h.close()


@pytest.fixture(params=["route", "wire"])
def way(request):
    return request.param
