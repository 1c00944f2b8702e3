"""The kernel's word that a network came, in a network of the test's own."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from appliance.sync.connectivity import network_came
from tests.stack import ROOT

LIMIT_S = 60
WATCH = """
import sys
from appliance.sync.connectivity import Connectivity
watch = Connectivity(lambda: print("came", flush=True))
watch.start()
print("ready", flush=True)
sys.stdin.readline()
watch.close()
print("closed", flush=True)
"""


@contextmanager
def own_network() -> Iterator[subprocess.Popen[str]]:
    """The watch in a network namespace in which nothing is up."""
    private = ["unshare", "-n"] if os.getuid() == 0 else ["unshare", "-rn"]
    if subprocess.run([*private, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine allows no private networks: 'unshare -n' failed")
    if shutil.which("ip") is None:
        pytest.skip("'ip' (Debian's package iproute2) is not installed")
    with subprocess.Popen(
        [*private, sys.executable, "-c", WATCH],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as watch:
        try:
            yield watch
        finally:
            watch.kill()


def said(watch: subprocess.Popen[str]) -> str:
    assert watch.stdout is not None
    return watch.stdout.readline().strip()


def ip(watch: subprocess.Popen[str], *words: str) -> None:
    """A change in the watch's network, as NetworkManager would make it."""
    inside = ["nsenter", "--preserve-credentials", f"--net=/proc/{watch.pid}/ns/net"]
    if os.getuid() != 0:
        inside[1:1] = [f"--user=/proc/{watch.pid}/ns/user"]
    subprocess.run([*inside, "ip", *words], check=True, timeout=LIMIT_S)


def test_an_address_that_comes_wakes_and_one_that_goes_does_not() -> None:
    with own_network() as watch:
        assert said(watch) == "ready"
        ip(watch, "link", "set", "lo", "up")
        assert said(watch) == "came"
        ip(watch, "address", "add", "198.51.100.7/24", "dev", "lo")
        assert said(watch) == "came"
        ip(watch, "address", "delete", "198.51.100.7/24", "dev", "lo")
        assert watch.stdin is not None
        watch.stdin.write("\n")
        watch.stdin.flush()
        assert said(watch) == "closed"


def link(hardware: int, flags: int) -> bytes:
    """RTM_NEWLINK."""
    body = struct.pack("=BxHiII", 0, hardware, 3, flags, 0)
    return struct.pack("=IHHII", 16 + len(body), 16, 0, 0, 0) + body


@pytest.mark.parametrize(
    ("packet", "came"),
    [
        (link(1, 0x40), True),
        (link(1, 0), False),
        (link(280, 0x40), False),  # can0 is up: that is a car
        (link(280, 0x40) + struct.pack("=IHHII", 16, 20, 0, 0, 0), True),
        (struct.pack("=IHHII", 16, 21, 0, 0, 0), False),  # an address that went
        (struct.pack("=IHHII", 0, 0, 0, 0, 0), False),
        (b"", False),
        (b"\x01\x02", False),
    ],
)
def test_only_what_may_bring_a_network_counts(packet: bytes, came: bool) -> None:
    assert network_came(packet) is came
