"""The diagnostics archive: secrets and customers are planted wherever they can be, and none comes
out in any file of it.
"""

from __future__ import annotations

import io
import json
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from appliance.api import messages as m
from appliance.client import ApiError
from appliance.diagnostics import Bundle, Mask, bundle, logs, read_logs
from appliance.diagnostics.about import UNKNOWN, about
from hw.messages import RunInfo
from tests.appliance.api.conftest import NAME, PASSPHRASE, Kit, running_kit
from tests.stack import run_fieldkit

VIN, OTHER_VIN = "WVWZZZ1JZ3W386752", "1HGCM82633A004352"
PEOPLE = ("Nomvula Dlamini", "Autohaus Müller & Söhne")
SECRETS = (
    PASSPHRASE,
    "hunter2",
    "AGE-SECRET-KEY-1QQPZRY9X8GF2",
    "c2VjcmV0IGtleQ",
    VIN[3:],
    OTHER_VIN[3:],
    VIN.encode().hex(),
    "Nomvula",
    "Dlamini",
    "Müller",
    "Söhne",
    "nomvula@example.co.za",
    "555-0199",
    "CA 123-456",
    "Hilux 2.8 GD-6",
    "Hesitates uphill",
    NAME,
)
LOG = f"""\
2026-11-27 INFO fieldkit.service: unlocked with passphrase {PASSPHRASE!r}
2026-11-27 INFO fieldkit.sync: Authorization: Bearer hunter2hunter2
2026-11-27 ERROR fieldkit.api: GET /v1/jobs failed for Nomvula Dlamini ({VIN})
ECU says 62f190{VIN.encode().hex()}
AGE-SECRET-KEY-1QQPZRY9X8GF2
-----BEGIN OPENSSH PRIVATE KEY-----
c2VjcmV0IGtleQ
-----END OPENSSH PRIVATE KEY-----
mail nomvula@example.co.za, call +27 82 555-0199, plate CA 123-456: Hesitates uphill
Müller waits; the Hilux 2.8 GD-6 of {NAME} is {OTHER_VIN}
the gate closed: hw_stale
"""
LINK = """
[[links]]
name = "Nomvula Dlamini, {vin}"
uri = "doip+tls://maria:hunter2@192.168.0.10:13400?token=hunter2&target=0x10"
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    """A kit that is full of what must not leave it."""
    folder = Path(os.path.realpath(tmp_path_factory.mktemp("k")))
    with running_kit(folder) as kit:
        kit.unlocked()
        for name in PEOPLE:
            kit.client.job_open(
                m.JobNew(
                    customer=name,
                    vehicle="Hilux 2.8 GD-6",
                    complaint="Hesitates uphill",
                    phone="+27 82 555-0199",
                    email="nomvula@example.co.za",
                    vin=VIN,
                    plate="CA 123-456",
                )
            )
        (folder / "run" / "fieldkit-defect.log").write_text(LOG)
        with (folder / "run" / "appliance.log").open("a") as file:
            file.write(LOG)
        with (folder / "state" / "kit.toml").open("a") as file:
            file.write(LINK.format(vin=OTHER_VIN))
        bad = folder / "state" / "profiles" / f"bad-{VIN}.toml"
        bad.write_text(f'title = "{PEOPLE[0]} {PASSPHRASE}"\n')
        yield kit


def contents(archive: bytes) -> dict[str, str]:
    """Every file of an archive by its name below the archive's own folder."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        return {name.partition("/")[2]: opened.read(name).decode() for name in opened.namelist()}


def leaks(files: dict[str, str]) -> list[tuple[str, str]]:
    """Every planted text that stands in a file or its name, however it is written."""
    return [
        (name, secret)
        for name, text in files.items()
        for secret in SECRETS
        if secret.casefold() in f"{name} {text}".casefold()
    ]


def test_nothing_that_was_planted_is_in_any_file(planted: Kit) -> None:
    files = contents(planted.client.diagnostics().content)
    assert leaks(files) == []
    assert {"logs/appliance.log", "logs/fieldkit-defect.log"} <= set(files)
    keys = [path for path in (planted.folder / "state" / "keys").rglob("*") if path.is_file()]
    assert keys
    for path in keys:
        assert not any(path.read_text(errors="replace").strip() in text for text in files.values())


def test_what_the_workshop_needs_is_there(planted: Kit) -> None:
    file = planted.client.diagnostics()
    files = contents(file.content)
    assert "the gate closed: hw_stale" in files["logs/fieldkit-defect.log"]
    told = json.loads(files["about.json"])
    assert (told["version"], len(told["kit"])) == (planted.client.about().version, 12)
    assert file.name.startswith(f"fieldkit-diagnostics-{told['kit']}-20")
    assert file.name.endswith(".zip")
    assert {one["name"] for one in told["libraries"]} >= {"msgspec", "kivy", "cryptography"}
    assert json.loads(files["status.json"])["media"]
    assert any(one["name"] == "hw" for one in json.loads(files["doctor.json"])["checks"])
    assert json.loads(files["config.json"])["voltage"]["rate_hz"] >= 250
    assert json.loads(files["runs.json"]) == []
    heads = json.loads(files["records.json"])
    assert [(one["state"], one["length"], len(one["head"])) for one in heads] == [
        ("draft", 1, 64)
    ] * 2
    profiles = {one["name"]: one for one in json.loads(files["profiles.json"])}
    assert len(profiles["sim-engine"]["sha256"]) == 64
    assert any(one["problem"] for one in profiles.values())


def test_a_locked_kit_gives_what_needs_no_names(short_tmp: Path) -> None:
    with running_kit(short_tmp) as kit:
        (short_tmp / "run" / "appliance.log").write_text(LOG)
        files = contents(kit.client.diagnostics().content)
        assert leaks(files) == []
        assert not any(name.startswith("logs/") for name in files)
        assert files["records.json"] == "null"
        assert "the kit was locked" in files["README.txt"]
        assert json.loads(files["doctor.json"])["checks"]


def test_it_is_put_on_a_stick_whole_and_beside_an_older_one(planted: Kit) -> None:
    (stick,) = planted.client.sticks().sticks
    folder = Path(stick.folder)
    before = set(folder.iterdir())
    first, second = (planted.client.diagnostics_onto(stick.folder) for _ in range(2))
    assert second.name == first.name.replace(".zip", "-2.zip")
    assert {path.name for path in set(folder.iterdir()) - before} == {first.name, second.name}
    archive = (folder / first.name).read_bytes()
    assert len(archive) == first.size_bytes
    assert leaks(contents(archive)) == []
    with pytest.raises(ApiError) as told:
        planted.client.diagnostics_onto(stick.folder + "-gone")
    assert (told.value.code, told.value.exit_status) == ("stick", 69)


def test_the_command_line_writes_it_into_a_folder_or_under_a_new_name(
    planted: Kit, tmp_path: Path
) -> None:
    run = run_fieldkit(planted.folder, "diagnostics", str(tmp_path), "--json")
    assert run.returncode == 0, run.stderr
    path = Path(json.loads(run.stdout)["file"])
    assert (path.parent, stat.S_IMODE(path.stat().st_mode)) == (tmp_path, 0o600)
    assert leaks(contents(path.read_bytes())) == []
    again = run_fieldkit(planted.folder, "diagnostics", str(path))
    assert again.returncode == 65
    assert "exists already" in again.stderr


def test_what_hw_and_doctor_say_is_masked_too(planted: Kit) -> None:
    said = f"The write for {PEOPLE[0]} stopped: {VIN}, passphrase {PASSPHRASE}."
    run = RunInfo(
        run="r1", job="j1", plan_digest="ab" * 32, backup_manifest_sha256="", profile="sim-engine",
        ecu="engine", state="interrupted", step=2, done_bytes=1, total_bytes=2, what=said,
    )  # fmt: skip
    status = structs.replace(
        planted.client.status(),
        hw_problem=m.Problem(code="x", what=said, next_step=said, exit_status=1),
    )
    found = Bundle(
        about=planted.client.about(),
        status=status,
        doctor=m.Doctor(ready=False, checks=[m.Check(name="x", ok=False, what=said)]),
        runs=[run],
        records=[],
        logs=[],
    )
    mask = Mask(names=[*PEOPLE, NAME])
    files = contents(bundle(found, planted.folder / "state", mask).content)
    assert leaks(files) == []
    assert json.loads(files["runs.json"])[0]["done_bytes"] == 1


# Logs and versions --------------------------------------------------------------------------------


def test_the_journal_is_read_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for journalctl, which a desk without systemd's journal does not have."""
    program = tmp_path / "bin" / "journalctl"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\ncase "$*" in *fieldkit-hw*) echo "hw: started";; *) exit 1;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    (tmp_path / "hw.log").write_text("from the file\n")
    assert dict(read_logs(tmp_path)) == {
        "fieldkit-hw.journal": "hw: started\n",
        "hw.log": "from the file\n",
    }


def test_of_a_long_log_the_end_is_kept_and_an_unreadable_one_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 5)
    (tmp_path / "hw.log").write_bytes(b"0123456789\xff")
    (tmp_path / "odd.log").mkdir()
    found = dict(read_logs(tmp_path))
    assert found["hw.log"] == "6789�"
    assert found["odd.log"].startswith("It cannot be read")


def test_a_kit_that_was_never_set_up_is_told_of_too(tmp_path: Path) -> None:
    told = about(tmp_path / "nothing")
    assert (told.kit, told.free_bytes) == (UNKNOWN, 0)
    assert told.python
