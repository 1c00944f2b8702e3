"""Adding technicians and changing one's own passphrase, over the socket and by the command line."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.client import ApiError
from appliance.identity import failed_tries
from tests.appliance.api.conftest import NAME, PASSPHRASE, Kit

NEW = "a sentence of her own"


def fieldkit(kit: Kit, *words: str) -> subprocess.CompletedProcess[str]:
    run, state = kit.folder / "run", kit.folder / "state"
    return subprocess.run(
        [sys.executable, "-m", "appliance.cli", *words],
        env={**os.environ, "FIELDKIT_RUN": str(run), "FIELDKIT_STATE": str(state)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def in_file(kit: Kit, name: str, passphrase: str) -> str:
    path = kit.folder / name
    path.write_text(f"{passphrase}\n")
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    return str(path)


def test_an_owner_adds_a_technician_who_can_then_unlock(kit: Kit) -> None:
    kit.unlocked()
    assert kit.client.technician_add("lea", "technician", NEW, PASSPHRASE).what
    names = [(one.name, one.role) for one in kit.client.technicians().technicians]
    assert names == [("lea", "technician"), (NAME, "owner")]
    assert kit.client.status().technician == NAME
    kit.client.unlock("lea", NEW)
    assert (kit.client.status().technician, kit.client.status().role) == ("lea", "technician")
    with pytest.raises(ApiError) as told:
        kit.client.technician_add("uwe", "owner", NEW, NEW)
    assert told.value.code == "not_permitted"


def test_who_could_not_be_in_a_new_kit_is_not_added(one_kit: Kit) -> None:
    for name, role, passphrase, said in (
        ("lea klein", "technician", NEW, "without spaces"),
        ("lea", "master", NEW, "'technician' or 'owner'"),
        ("lea", "technician", "too short", "longer"),
        (NAME, "technician", NEW, "another name"),
    ):
        with pytest.raises(ApiError) as told:
            one_kit.client.technician_add(name, role, passphrase, PASSPHRASE)
        assert said in told.value.next_step
    assert len(one_kit.client.technicians().technicians) == 1


def test_a_wrong_passphrase_adds_nobody_and_counts_as_a_try(one_kit: Kit) -> None:
    before = len(failed_tries(one_kit.folder / "state"))
    with pytest.raises(ApiError) as told:
        one_kit.client.technician_add("lea", "technician", NEW, "not the right one")
    assert told.value.code == "passphrase"
    with pytest.raises(ApiError) as told:
        one_kit.client.passphrase_change("not the right one", NEW)
    assert told.value.code == "passphrase"
    assert len(failed_tries(one_kit.folder / "state")) == before + 2
    assert len(one_kit.client.technicians().technicians) == 1


def test_a_changed_passphrase_is_the_only_one_that_opens(kit: Kit) -> None:
    kit.unlocked()
    with pytest.raises(ApiError) as told:
        kit.client.passphrase_change(PASSPHRASE, "short")
    assert told.value.code == "bad_input"
    kit.client.passphrase_change(PASSPHRASE, NEW)
    assert not kit.client.status().locked
    kit.client.lock()
    with pytest.raises(ApiError):
        kit.client.unlock(NAME, PASSPHRASE)
    kit.client.unlock(NAME, NEW)


def test_the_command_line_does_the_same(kit: Kit) -> None:
    kit.unlocked()
    own, new = in_file(kit, "own", PASSPHRASE), in_file(kit, "new", NEW)
    files = ("--passphrase-file", own, "--new-passphrase-file", new)
    added = fieldkit(kit, "technician", "add", "lea", *files)
    assert (added.returncode, added.stdout) == (0, "lea can now unlock this kit.\n")
    listed = json.loads(fieldkit(kit, "technician", "list", "--json").stdout)
    assert [one["name"] for one in listed["technicians"]] == ["lea", NAME]
    assert fieldkit(kit, "technician", "passphrase", *files).returncode == 0
    again = fieldkit(kit, "technician", "passphrase", *files)
    assert again.returncode == 77
    assert "do not fit together" in again.stderr
    assert PASSPHRASE not in Path(kit.folder / "run" / "appliance.log").read_text()
