"""An export opens with stock tools, and whatever is changed in it is found and named."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest

from appliance.workshop.checking import Check, Finding
from appliance.workshop.export.reading import ExportFolder
from appliance.workshop.export.writing import LEFT_OUT, TABLES, export_workshop
from appliance.workshop.kept import LiveHub
from appliance.workshop.keys import IDENTITY
from appliance.workshop.tables import Models
from hw.errors import BadInputError, UsageError
from tests.appliance.workshop.filled import EEPROM, Filled, filled
from tests.test_workshop import workshop_command, workshop_json


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    with filled(tmp_path_factory.mktemp("filled")) as workshop:
        yield workshop


@pytest.fixture(scope="module")
def whole(full: Filled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "export"
    done = export_workshop(full.workshop.hub, full.workshop.keys.authority, folder)
    assert (done.records, done.damaged) == (full.records, ())
    return folder


@pytest.fixture
def export(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(whole, tmp_path / "export")
    return tmp_path / "export"


def found(folder: Path) -> list[Finding]:
    exported = ExportFolder(folder)
    return [*exported.findings(), *Check(exported).findings()]


def commands(folder: Path) -> list[str]:
    """Every command of OPEN-ME.txt, joined where it goes on in the next line."""
    lines = (folder / "OPEN-ME.txt").read_text().splitlines()
    shown = [line.strip() for line in lines if line.startswith("     ")]
    return re.sub(r"\\\n", " ", "\n".join(shown)).splitlines()


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    words = ["sh", "-c", command]
    return subprocess.run(words, cwd=folder, capture_output=True, check=False, timeout=60)


def test_every_command_of_the_guide_works_with_stock_tools_alone(
    full: Filled, export: Path
) -> None:
    shutil.copy(full.workshop.keys.folder / IDENTITY, export / "identity.txt")
    lines = commands(export)
    tools = ("ssh-keygen -l", "ssh-keygen -Y", "sha256sum", "age -d")
    assert all(any(tool in line for line in lines) for tool in tools)
    for line in lines:
        ended = shell(line, export)
        assert ended.returncode == 0, (line, ended.stderr)
    assert (export / "image" / "eeprom.bin").read_bytes() == EEPROM


def test_the_script_in_it_accepts_it_and_finds_what_was_changed(export: Path) -> None:
    ended = shell("sh check.sh", export)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert b"All of it is whole; records: 3." in ended.stdout
    _change_a_record(export)
    ended = shell("sh check.sh", export)
    assert ended.returncode == 1
    assert b"WRONG: record 1 is not its kit's" in ended.stdout
    assert b"WRONG: files were changed" in ended.stdout


def test_records_receipts_keys_and_conflicts_are_all_in_it(full: Filled, export: Path) -> None:
    def lines(name: str) -> list[dict[str, object]]:
        return [
            msgspec.json.decode(line, type=dict[str, object])
            for line in (export / name).read_bytes().splitlines()
        ]

    with full.workshop.hub.database.reading() as tables:
        records = {row.id for row in tables.records.select()}
        kits = {row.id: row.key for row in tables.kits.select()}
        (conflict,) = tables.conflicts.select()
    assert {line["record"] for line in lines("records.jsonl")} == records
    assert {line["record"] for line in lines("receipts.jsonl")} == records
    assert {line["id"]: line["key"] for line in lines("kits.jsonl")} == kits
    assert [line["record"] for line in lines("conflicts.jsonl")] == [conflict.record]
    assert full.backup in {line["backup"] for line in lines("backups.jsonl")}
    assert "nonces.jsonl" not in {path.name for path in export.iterdir()}


def test_every_table_of_the_hub_is_exported_or_left_out_for_a_reason() -> None:
    every = {field.name for field in fields(Models)}
    assert every == TABLES.keys() | LEFT_OUT.keys() | {"records", "blobs"}
    assert all(LEFT_OUT.values())


def test_what_is_whole_has_no_finding(full: Filled, export: Path) -> None:
    assert found(export) == []
    check = Check(LiveHub(full.workshop.hub))
    assert list(check.findings()) == []
    assert (check.records, check.blobs) == (full.records, 4)


def _change_a_record(folder: Path) -> None:
    path = folder / "records.jsonl"
    path.write_bytes(path.read_bytes().replace(b"Stalls when hot", b"Stalls when cold", 1))


def _cut_off_the_end(folder: Path) -> None:
    path = folder / "records.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def _take_out_one_between(folder: Path) -> None:
    """The first record of a kit that has a second one."""
    records = (folder / "records.jsonl").read_bytes().splitlines(keepends=True)
    (second,) = (at for at, line in enumerate(records) if line.endswith(b'"sequence":2}\n'))
    for name in ("records", "receipts"):
        lines = (folder / f"{name}.jsonl").read_bytes().splitlines(keepends=True)
        parts = re.findall(rb"-----BEGIN.*?-----END[^\n]*\n", _sigs(folder, name), re.DOTALL)
        del lines[second - 1], parts[second - 1]
        (folder / f"{name}.jsonl").write_bytes(b"".join(lines))
        (folder / f"{name}.sigs").write_bytes(b"".join(parts))


def _sigs(folder: Path, name: str) -> bytes:
    return (folder / f"{name}.sigs").read_bytes()


def _change_a_receipt(folder: Path) -> None:
    path = folder / "receipts.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"stored":"2', b'"stored":"1', 1))


def _change_a_blob(folder: Path) -> None:
    path = max(folder.glob("blobs/*/*"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def _remove_a_blob(folder: Path) -> None:
    max(folder.glob("blobs/*/*")).unlink()


def _add_a_file(folder: Path) -> None:
    (folder / "more.jsonl").write_text("{}\n")


def _change_a_key(folder: Path) -> None:
    path = folder / "kits.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    keys = [msgspec.json.decode(one)["key"].encode() for one in (first, second)]
    path.write_bytes(first.replace(keys[0], keys[1]) + second)


@pytest.mark.parametrize(
    ("change", "item", "what"),
    [
        (_change_a_record, "record 1", "signed bytes were changed"),
        (_cut_off_the_end, "records.jsonl", "was changed"),
        (_take_out_one_between, "record ", "goes on from 2"),
        (_change_a_receipt, "record 1", "signed bytes were changed"),
        (_change_a_blob, "file ", "its content has the SHA-256"),
        (_remove_a_blob, "file ", "cannot be read"),
        (_add_a_file, "more.jsonl", "does not belong"),
        (_change_a_key, "kit SHA256:", "another fingerprint"),
    ],
)
def test_whatever_is_changed_is_found_and_named(
    export: Path, change: Callable[[Path], None], item: str, what: str
) -> None:
    change(export)
    told = found(export)
    assert any(one.item.startswith(item) and what in one.what for one in told), told


def test_a_damaged_file_and_a_damaged_row_are_found_in_the_hub_itself(tmp_path: Path) -> None:
    with filled(tmp_path) as full:
        hub = full.workshop.hub
        blob = max((full.workshop.folder / "store").glob("blobs/*/*"))
        blob.write_bytes(blob.read_bytes()[:-1] + b"?")
        records = hub.database.tables.records
        update = records.update(last=9).where(records.job == full.job)
        hub.database.write(lambda _: update.execute())
        told = list(Check(LiveHub(hub)).findings())
        assert {one.item.split()[0] for one in told} == {"file", "record"}
        assert any(blob.name in one.item for one in told)
        assert any("something else" in one.what for one in told)
        done = export_workshop(hub, "", tmp_path / "export")
        assert [item for item, _ in done.damaged] == [f"file {blob.name}"]
        assert not (tmp_path / "export" / "blobs" / blob.name[:2] / blob.name).exists()


def test_an_export_that_was_cut_off_says_so_and_goes_on(full: Filled, export: Path) -> None:
    (export / "SHA256SUMS.sig").unlink()
    half, gone, *rest = sorted(export.glob("blobs/*/*"))
    half.write_bytes(half.read_bytes()[:-1])
    gone.unlink()
    assert any("not finished" in one.what for one in found(export))
    before = {path: path.stat().st_ino for path in rest}
    export_workshop(full.workshop.hub, full.workshop.keys.authority, export)
    assert found(export) == []
    assert {path: path.stat().st_ino for path in rest} == before


def test_a_folder_with_other_things_is_left_alone(full: Filled, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match="something else"):
        export_workshop(full.workshop.hub, "", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]
    with pytest.raises(BadInputError, match="no export"):
        ExportFolder(tmp_path)


def test_the_commands_export_verify_and_open(full: Filled, tmp_path: Path) -> None:
    place, export = full.workshop.folder, tmp_path / "export"
    assert workshop_json(place, "export", str(export))["records"] == full.records
    assert workshop_json(place, "verify", str(export))["wrong"] == 0
    assert workshop_json(place, "verify")["records"] == full.records
    opened = workshop_json(
        place, "open", full.job, str(tmp_path / "open"), "--reason", "The ECU was swapped."
    )
    assert opened["backups"] == [full.backup]
    assert all(Path(path).is_file() for path in opened["files"])
    _change_a_blob(export)
    with workshop_command(place, "verify", str(export)) as command:
        out, errors = command.communicate(timeout=60)
    assert command.returncode == 65
    assert "its content has the SHA-256" in out
    assert "Wrong: 1 thing." in errors
