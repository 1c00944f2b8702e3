"""Wi-Fi through NetworkManager, where a kit has it, by its own command `nmcli` in terse mode.

A passphrase goes to nmcli's standard input: arguments can be read by everybody on the machine.
Every call ends by itself within its time limit.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.api.messages import Network, WifiNetwork
from hw.errors import BadInputError, UnavailableError, UsageError

NMCLI = "nmcli"
LOOK_LIMIT_S = 20.0
"""nmcli itself waits 15 s for a scan."""
JOIN_LIMIT_S = 45
_GRACE_S = 5.0
_WIFI = "802-11-wireless"
_TIMED_OUT, _NOT_THERE = 3, 10  # nmcli(1), EXIT STATUS
_MIN_PSK, _MAX_PSK = 8, 63  # IEEE 802.11-2020, annex J.4.1: of a pass-phrase in printable ASCII


@dataclass(frozen=True)
class _Profile:
    """A network that NetworkManager knows."""

    uuid: str
    ssid: str
    active: bool


def view(*, scan: bool = False) -> Network:
    """Networks around and known ones. Where NetworkManager is missing, `what` says so.

    Args:
        scan: look around anew, which takes up to 15 s; else what NetworkManager saw last.

    Raises:
        UnavailableError: it is there and does not answer.
    """
    missing = _missing()
    if missing:
        return Network(available=False, what=missing, networks=[])
    profiles = {one.ssid: one for one in _profiles()}
    found: dict[str, WifiNetwork] = {}
    rescan = ("--rescan", "yes" if scan else "no")
    for row in _rows("SSID,SIGNAL,SECURITY", "device", "wifi", "list", *rescan):
        ssid, signal, security = row
        if ssid and (ssid not in found or int(signal or 0) > (found[ssid].signal or 0)):
            found[ssid] = _seen(ssid, int(signal or 0), security, profiles.get(ssid))
    out_of_reach = [
        WifiNetwork(
            ssid=one.ssid, signal=None, secured=True, usable=False, known=True, joined=one.active
        )
        for one in profiles.values()
        if one.ssid not in found
    ]
    seen = sorted(found.values(), key=lambda one: (not one.joined, -(one.signal or 0), one.ssid))
    return Network(available=True, what="", networks=[*seen, *out_of_reach])


def join(ssid: str, passphrase: str) -> None:
    """Join a network that is around; a known one without its passphrase.

    Raises:
        BadInputError: the passphrase cannot be one of Wi-Fi's.
        UsageError: the network is not around, or is of a kind that cannot be joined here.
        UnavailableError: it could not be joined, or NetworkManager does not answer. A network that
            was not known before is not known after it either.
    """
    network = next((one for one in _available().networks if one.ssid == ssid), None)
    if network is None or not network.usable:
        raise UsageError(f"The network {ssid} cannot be joined.", "Choose one of those in reach.")
    before = {one.uuid: one for one in _profiles()}
    known = next((one.uuid for one in before.values() if one.ssid == ssid), "")
    wait = ("--wait", str(JOIN_LIMIT_S))
    if known:
        ended = _run((*wait, "connection", "up", "uuid", known), limit_s=JOIN_LIMIT_S + _GRACE_S)
    else:
        if network.secured:
            _check(passphrase)
        ended = _run(
            ("--ask", *wait, "device", "wifi", "connect", ssid),
            given=f"{passphrase}\n" if network.secured else "",
            limit_s=JOIN_LIMIT_S + _GRACE_S,
        )
    if ended.returncode:
        for left in {one.uuid for one in _profiles()} - before.keys():
            _run(("connection", "delete", "uuid", left))
        raise UnavailableError(
            f"The kit could not join {ssid}: {_reason(ended)}.",
            "Forget this network and enter its passphrase anew, nearer to the access point."
            if known
            else "Check the passphrase, go nearer to the access point, then try again.",
        )


def forget(ssid: str) -> None:
    """Leave a network and forget its passphrase.

    Raises:
        UsageError: it is not known.
        UnavailableError: NetworkManager does not do it.
    """
    _available()
    known = [one.uuid for one in _profiles() if one.ssid == ssid]
    if not known:
        raise UsageError(f"The network {ssid} is not known.", "Choose one that is.")
    for uuid in known:
        ended = _run(("connection", "delete", "uuid", uuid))
        if ended.returncode not in (0, _NOT_THERE):
            raise UnavailableError(
                f"The network {ssid} could not be forgotten: {_reason(ended)}.", "Try again."
            )


def _available() -> Network:
    found = view()
    if not found.available:
        raise UnavailableError(found.what, "Use the kit without a network; it needs none.")
    return found


def _missing() -> str:
    if shutil.which(NMCLI) is None:
        return "NetworkManager is not installed on this kit."
    ended = _run(("--terse", "--fields", "WIFI", "general"))
    if ended.returncode:
        return "NetworkManager does not run on this kit."
    if ended.stdout.strip() == "disabled":
        return "Wi-Fi is switched off on this kit ('nmcli radio wifi on')."
    return "" if _devices() else "This kit has no Wi-Fi adapter."


def _seen(ssid: str, signal: int, security: str, profile: _Profile | None) -> WifiNetwork:
    kinds = set(security.split())
    return WifiNetwork(
        ssid=ssid,
        signal=signal,
        secured=bool(kinds),
        # A company's login (802.1X) asks for more than a passphrase; WEP protects nothing.
        usable=not kinds & {"802.1X", "WEP"},
        known=profile is not None,
        joined=profile is not None and profile.active,
    )


def _devices() -> list[str]:
    rows = _rows("DEVICE,TYPE,STATE", "device")
    return [name for name, kind, state in rows if kind == "wifi" and state != "unmanaged"]


def _profiles() -> list[_Profile]:
    return [
        _Profile(uuid, _ssid(uuid), active == "yes")
        for uuid, kind, active in _rows("UUID,TYPE,ACTIVE", "connection", "show")
        if kind == _WIFI
    ]


def _ssid(uuid: str) -> str:
    """A profile may have any name; its network's is inside. Empty where it went meanwhile."""
    words = ("--escape", "no", "--get-values", f"{_WIFI}.ssid", "connection", "show", "uuid", uuid)
    return _run(words).stdout.rstrip("\n")


def _rows(fields: str, *words: str) -> list[list[str]]:
    ended = _run(("--terse", "--escape", "yes", "--fields", fields, *words))
    if ended.returncode:
        raise UnavailableError(f"NetworkManager does not answer: {_reason(ended)}.", "Try again.")
    return [_cells(line) for line in ended.stdout.splitlines() if line]


def _cells(line: str) -> list[str]:
    """Cells of a line in terse mode: between colons; a backslash takes the next one as it is."""
    cells = re.findall(r"(?:^|:)((?:[^:\\]|\\.)*)", line)
    return [re.sub(r"\\(.)", r"\1", cell) for cell in cells]


def _run(
    words: Sequence[str], *, given: str = "", limit_s: float = LOOK_LIMIT_S
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [NMCLI, *words],
            input=given,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(
            f"NetworkManager did not answer within {limit_s:.0f} s.", "Wait a minute and try again."
        ) from error
    except OSError as error:
        raise UnavailableError(
            f"nmcli cannot be started: {error.strerror}.", "Install NetworkManager again."
        ) from error


def _reason(ended: subprocess.CompletedProcess[str]) -> str:
    if ended.returncode == _TIMED_OUT:
        return "it took too long"
    said = ended.stderr.strip().splitlines()
    text = said[0].removeprefix("Error: ").rstrip(".") if said else f"status {ended.returncode}"
    return text[:1].lower() + text[1:]


def _check(passphrase: str) -> None:
    printable = passphrase.isascii() and passphrase.isprintable()
    if not printable or not _MIN_PSK <= len(passphrase) <= _MAX_PSK:
        raise BadInputError(
            f"A Wi-Fi passphrase has {_MIN_PSK} to {_MAX_PSK} characters without accents.",
            "Read it again and type it.",
        )
