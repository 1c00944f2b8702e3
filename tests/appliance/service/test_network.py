"""Wi-Fi by the real nmcli, against a NetworkManager that is simulated on a bus of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import pytest

from appliance.api import messages as m
from appliance.service import Service, network
from hw.errors import BadInputError, UnavailableError, UsageError
from tests.stack import ROOT
from tests.ui.models.fake import run_info

NM = "org.freedesktop.NetworkManager"
WLAN = "/org/freedesktop/NetworkManager/Devices/wlan"
PSK, OPEN, ENTERPRISE, NO_PROFILE = 0x100, 0, 0x200, 0x188
PASSPHRASE = "secret words"
LIMIT_S = 30.0
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/>
<allow eavesdrop="true"/><allow own="*"/><allow user="*"/></policy>
</busconfig>"""
WRAPPER = """#!/bin/sh
printf '%s\\n' "$*" >>{log}
exec {nmcli} "$@"
"""


@dataclass
class Air:
    """A Wi-Fi adapter and what is around, told to the simulated NetworkManager."""

    folder: Path
    address: str

    def call(self, path: str, interface: str, method: str, *words: str) -> str:
        return subprocess.run(
            ["busctl", f"--address={self.address}", "call", NM, path, interface, method, *words],
            check=True,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        ).stdout

    def mock(self, method: str, *words: str, path: str = "/org/freedesktop/NetworkManager") -> str:
        return self.call(path, "org.freedesktop.DBus.Mock", method, *words)

    def adapter(self) -> None:
        self.mock("AddWiFiDevice", "ssu", "wlan", "wlan0", "30")

    def access_point(self, number: int, ssid: str, signal: int, security: int) -> None:
        mac = f"00:23:F8:7E:12:{number:02X}"
        words = (WLAN, f"ap{number}", ssid, mac, "2", "2425", "5400", str(signal), str(security))
        self.mock("AddAccessPoint", "osssuuuyu", *words)

    def asked(self) -> str:
        """Everything that NetworkManager was asked."""
        return (self.folder / "mock.log").read_text()

    def arguments(self) -> str:
        """Everything that nmcli was called with."""
        return (self.folder / "argv.log").read_text()


@pytest.fixture
def nmcli(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real one, which also writes down what it was called with."""
    wrapper = short_tmp / "nmcli"
    nmcli = shutil.which("nmcli") or ROOT / "build/nmcli/nmcli"  # `.ci/nmcli`
    wrapper.write_text(WRAPPER.format(log=short_tmp / "argv.log", nmcli=nmcli))
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{short_tmp}:{os.environ['PATH']}")


@pytest.fixture
def air(short_tmp: Path, monkeypatch: pytest.MonkeyPatch, nmcli: None) -> Iterator[Air]:
    del nmcli
    bus = short_tmp / "bus"
    (short_tmp / "bus.conf").write_text(BUS.format(path=bus))
    address = f"unix:path={bus}"
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
    daemon = ["dbus-daemon", f"--config-file={short_tmp / 'bus.conf'}", "--nofork"]
    # The system's own Python has python-dbusmock.
    simulated = ["/usr/bin/python3", "-m", "dbusmock", "--system", "--template", "networkmanager"]
    it = Air(short_tmp, address)
    with (short_tmp / "mock.log").open("w") as log, running(daemon, log):
        until(bus.exists)
        with running(simulated, log):
            # The last thing that it makes; one that asks before waits for what never comes.
            until(lambda: f'"{NM}.Settings"' in it.asked())
            yield it


@contextmanager
def running(words: list[str], log: IO[str]) -> Iterator[None]:
    with subprocess.Popen(words, stdout=log, stderr=log) as process:
        try:
            yield
        finally:
            process.terminate()


def until(condition: Any) -> None:
    ends_at = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < ends_at, network.view()
        time.sleep(0.05)


@pytest.fixture
def around(air: Air) -> Air:
    air.adapter()
    air.access_point(1, "Workshop", 82, PSK)
    air.access_point(2, "Workshop", 40, PSK)
    air.access_point(3, r"Cafe: free \ fast", 60, OPEN)
    air.access_point(4, "Campus", 90, ENTERPRISE)
    return air


def known(ssid: str) -> bool:
    return any(one.ssid == ssid and one.known for one in network.view().networks)


def test_networks_around_are_told_once_with_signal_and_kind(around: Air) -> None:
    found = network.view()
    assert (found.available, found.what) == (True, "")
    assert [(one.ssid, one.signal, one.secured, one.usable) for one in found.networks] == [
        ("Campus", 90, True, False),
        ("Workshop", 82, True, True),
        (r"Cafe: free \ fast", 60, False, True),
    ]
    assert not any(one.known or one.joined for one in found.networks)


def test_it_is_looked_around_anew_only_where_that_is_asked_for(around: Air) -> None:
    network.view()
    assert "RequestScan" not in around.asked()
    network.view(scan=True)
    assert "RequestScan" in around.asked()


def test_a_kit_without_an_adapter_or_with_it_switched_off_says_so(air: Air) -> None:
    assert network.view().what == "This kit has no Wi-Fi adapter."
    air.adapter()
    assert network.view().available
    air.mock("UpdateProperties", "sa{sv}", NM, "1", "WirelessEnabled", "b", "false")
    found = network.view()
    assert (found.available, found.what.split("(")[0]) == (
        False,
        "Wi-Fi is switched off on this kit ",
    )


def test_a_secured_network_is_joined_and_its_passphrase_is_in_no_argument(around: Air) -> None:
    network.join("Workshop", PASSPHRASE)
    assert f'"psk": "{PASSPHRASE}"' in around.asked()
    assert PASSPHRASE not in around.arguments()
    first = network.view().networks[0]
    assert (first.ssid, first.known, first.joined) == ("Workshop", True, True)


def test_a_known_network_is_joined_without_its_passphrase_and_can_be_forgotten(
    around: Air,
) -> None:
    network.join(r"Cafe: free \ fast", "")
    assert known(r"Cafe: free \ fast")
    network.join(r"Cafe: free \ fast", "")
    assert "connection up uuid" in around.arguments()
    network.forget(r"Cafe: free \ fast")
    assert not known(r"Cafe: free \ fast")
    with pytest.raises(UsageError, match="not known"):
        network.forget(r"Cafe: free \ fast")


def test_what_cannot_be_joined_is_said_and_leaves_nothing_known(around: Air) -> None:
    for ssid in ("Campus", "Nowhere"):
        with pytest.raises(UsageError, match="cannot be joined"):
            network.join(ssid, PASSPHRASE)
    for passphrase in ("short", "x" * 64, "two\nlines of it", "Müllers Netz"):
        with pytest.raises(BadInputError, match="8 to 63"):
            network.join("Workshop", passphrase)
    around.access_point(5, "Broken", 70, NO_PROFILE)
    with pytest.raises(UnavailableError, match="could not join Broken") as told:
        network.join("Broken", PASSPHRASE)
    assert PASSPHRASE not in told.value.what
    assert not any(one.known for one in network.view().networks)


@pytest.mark.usefixtures("nmcli")
def test_a_kit_without_networkmanager_says_so(
    short_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={short_tmp / 'none'}")
    assert network.view().what == "NetworkManager does not run on this kit."
    with pytest.raises(UnavailableError, match="does not run") as told:
        network.join("Workshop", PASSPHRASE)
    assert told.value.next_step == "Use the kit without a network; it needs none."
    monkeypatch.setenv("PATH", str(short_tmp / "none"))
    found = network.view()
    assert found.what == "NetworkManager is not installed on this kit."
    assert not found.available


def test_an_nmcli_that_hangs_is_ended(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (short_tmp / "nmcli").write_text("#!/bin/sh\nexec sleep 100\n")
    (short_tmp / "nmcli").chmod(0o755)
    monkeypatch.setenv("PATH", f"{short_tmp}:{os.environ['PATH']}")
    with pytest.raises(UnavailableError, match="did not answer within"):
        network._run(("general",), limit_s=0.2)


@dataclass
class Hw:
    """hw as the service sees it."""

    runs: list[m.RunInfo]

    def client(self) -> Hw:
        return self

    def journal(self) -> list[m.RunInfo]:
        return self.runs


def test_while_a_write_runs_no_network_is_changed(short_tmp: Path) -> None:
    service = Service(short_tmp, short_tmp)
    with pytest.raises(UnavailableError):
        service._demand_no_write()  # Nobody knows: hw does not answer.
    service._opened = cast("Any", object())
    service._hw = cast("Any", Hw([run_info("running")]))
    with pytest.raises(UnavailableError, match="while a write runs"):
        service.network_join(m.JoinNetwork(ssid="Workshop", passphrase=PASSPHRASE))
    with pytest.raises(UnavailableError, match="while a write runs"):
        service.network_forget(m.ForgetNetwork(ssid="Workshop"))
    service._hw = cast("Any", Hw([run_info("verified")]))
    service._demand_no_write()
