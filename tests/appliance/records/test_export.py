"""An exported record: stock tools prove it, and any byte that is changed is found."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.identity.trust import signer_line
from appliance.records import (
    ChainBroken,
    ExportDamaged,
    Records,
    export_files,
    export_job,
    verify_export,
)
from appliance.records import events as e
from hw.errors import BadInputError
from hw.sshsig import AllowedSigners
from tests.appliance.records.sample import CONTAINER, CONTAINER_SHA256, new_job, whole_job


def sh(folder: Path, command: str) -> str:
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def small_export(records: Records, folder: Path) -> Path:
    job = new_job(records)
    records.append(job, e.Note(author="anna", text="Nothing found."))
    return export_job(records, job, folder / "export").folder


def test_stock_tools_prove_an_export_as_its_readme_says(records: Records, tmp_path: Path) -> None:
    job = whole_job(records)
    exported = export_job(records, job, tmp_path / "export")
    folder = exported.folder
    readme = (folder / "README.txt").read_text()
    command = readme[readme.index("ssh-keygen -Y verify") : readme.index("     sha256sum -c")]
    assert 'Good "fieldkit-record" signature for kit' in sh(folder, command)
    assert sh(folder, "sha256sum -c SHA256SUMS").count(": OK") == len(list(files(folder))) - 2
    assert sh(folder, "sh verify-chain.sh").strip() == exported.head.head
    assert sh(folder, "ssh-keygen -l -f kit.pub").split()[1] in readme
    head = "ssh-keygen -Y verify -f allowed_signers -I kit -n fieldkit-record -s head.json.sig"
    assert "Good" in sh(folder, f"{head} < head.json")
    assert json.loads((folder / "head.json").read_text())["head"] == exported.head.head


def test_the_signature_of_any_one_event_is_proven_with_stock_tools(
    records: Records, tmp_path: Path
) -> None:
    folder = small_export(records, tmp_path)
    sh(folder, "sed -n 2p events.jsonl | tr -d '\\n' | sha256sum | cut -c1-64 | tr -d '\\n' > ../h")
    sh(folder, "awk '/BEGIN/{n++} n==2' events.sigs > ../s")
    command = "ssh-keygen -Y verify -f allowed_signers -I kit -n fieldkit-record -s ../s < ../h"
    assert "Good" in sh(folder, command)


def test_the_chain_script_finds_a_changed_event(records: Records, tmp_path: Path) -> None:
    folder = small_export(records, tmp_path)
    lines = (folder / "events.jsonl").read_bytes()
    (folder / "events.jsonl").write_bytes(lines.replace(b"Stalls", b"Starts"))
    done = subprocess.run(
        ["sh", "verify-chain.sh"], cwd=folder, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert b"broken" in done.stderr


def test_an_export_holds_chain_plan_and_container(records: Records, tmp_path: Path) -> None:
    job = whole_job(records)
    folder = export_job(records, job, tmp_path / "export").folder
    view = records.job(job)
    assert (folder / "plans" / f"{view.plans[0]}.json").is_file()
    name = f"{CONTAINER_SHA256[:16]}-demo-calibration.hex"
    assert (folder / "containers" / name).read_bytes() == CONTAINER
    whole = json.loads((folder / "job.json").read_text())
    assert whole["job"]["customer"]["name"] == "Zoë Müller"
    assert len(whole["events"]) == view.length - 1  # all but that it was exported
    assert whole["events"][0]["event"]["kind"] == "job_created"
    verified = verify_export(folder, records.signers)
    assert verified.head.job == job
    assert records.events_of_kind(job, "exported")[-1].body == e.Exported(
        length=verified.head.length,
        head=verified.head.head,
        files_sha256=sh(folder, "sha256sum SHA256SUMS").split()[0],
    )


def test_any_changed_byte_of_any_file_is_found(records: Records, tmp_path: Path) -> None:
    folder = small_export(records, tmp_path)
    for path in files(folder):
        content = path.read_bytes()
        step = 97 if path.name in ("report.pdf", "job.json") else 7
        for at in {*range(0, len(content), step), len(content) - 1}:
            changed = bytearray(content)
            changed[at] ^= 1 << at % 8
            path.write_bytes(changed)
            with pytest.raises((ExportDamaged, ChainBroken)):
                verify_export(folder, records.signers)
        path.write_bytes(content)
    verify_export(folder, records.signers)


def test_a_missing_an_added_and_a_linked_file_are_found(records: Records, tmp_path: Path) -> None:
    folder = small_export(records, tmp_path)
    for path in list(files(folder)):
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(ExportDamaged, match="missing"):
            verify_export(folder, records.signers)
        (tmp_path / "elsewhere").write_bytes(content)
        path.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(ExportDamaged, match="link"):
            verify_export(folder, records.signers)
        path.unlink()
        path.write_bytes(content)
    (folder / "more.txt").write_text("Buy this.")
    with pytest.raises(ExportDamaged, match=r"more\.txt was added"):
        verify_export(folder, records.signers)


def test_an_export_of_another_kit_is_not_believed(records: Records, tmp_path: Path) -> None:
    folder = small_export(records, tmp_path)
    other = tmp_path / "other"
    other.write_text(signer_line("kit", Ed25519PrivateKey.generate().public_key()))
    with pytest.raises(ExportDamaged, match="may not sign"):
        verify_export(folder, AllowedSigners.load(other))


def test_a_later_head_shows_that_an_export_is_old(records: Records, tmp_path: Path) -> None:
    job = new_job(records)
    folder = export_job(records, job, tmp_path / "export").folder
    verify_export(folder, records.signers, [records.signed_head(job).head][:0])
    with pytest.raises(ChainBroken, match="cut off"):
        verify_export(folder, records.signers, [records.signed_head(job).head])


def test_a_folder_that_is_not_empty_is_left_alone(records: Records, tmp_path: Path) -> None:
    job = new_job(records)
    with pytest.raises(BadInputError, match="not empty"):
        export_job(records, job, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInputError, match="cannot be written"):
        export_job(records, job, tmp_path / "file")
    assert records.events_of_kind(job, "exported") == []


def test_the_same_chain_gives_the_same_bytes(records: Records) -> None:
    job = whole_job(records)
    assert export_files(records, job) == export_files(records, job)


def test_a_container_s_name_never_leads_out_of_the_folder(records: Records, tmp_path: Path) -> None:
    job = new_job(records)
    sha256 = records.store.put_blob(CONTAINER)
    for name in ("../../etc/passwd", "a b\n.hex", "", "..", "-rf", "ä" * 200):
        plan = e.PlanCompiled(
            plan_digest="1" * 64, title="t", ecu="e", risk_class="coding", risk_text="r",
            container=name, container_sha256=sha256, checks=[],
        )  # fmt: skip
        records.append(job, plan)
    folder = export_job(records, job, tmp_path / "export").folder
    assert "OK" in sh(folder, "sha256sum -c SHA256SUMS")
    verify_export(folder, records.signers)
    assert all(path.is_relative_to(folder.resolve()) for path in map(Path.resolve, files(folder)))


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
