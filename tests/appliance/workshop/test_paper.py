"""The paper for the safe: what stands on it can be read back, and it is kept nowhere else."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from datetime import date
from pathlib import Path

from appliance.age import decrypt, encrypt, new_identity, parse_identity
from appliance.workshop.paper import recovery_paper
from tests.appliance.workshop.scanner import scanned_page
from tests.stack import FIELDKIT, ROOT
from tests.test_workshop import workshop_command

LIMIT_S = 60.0


def text_of(pdf: Path) -> str:
    return subprocess.run(
        ["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_the_page_holds_the_identity_as_letters_and_as_a_code(tmp_path: Path) -> None:
    identity, recipient = new_identity()
    pdf = tmp_path / "paper.pdf"
    pdf.write_bytes(recovery_paper(identity, date(2026, 11, 27)))
    text = text_of(pdf)
    assert identity in re.sub(r"\s", "", text)
    assert recipient in text
    assert "age -d -i identity.txt" in text
    recovered = scanned_page(pdf)
    assert recovered == identity
    sealed = encrypt(b"a backup", [parse_identity(identity).to_public()])
    assert decrypt(sealed, parse_identity(recovered)) == b"a backup"


def test_a_workshop_is_made_with_the_identity_from_the_print(tmp_path: Path) -> None:
    folder, pdf = tmp_path / "workshop", tmp_path / "paper.pdf"
    words = ("init", "--address", "127.0.0.1", "--paper", str(pdf))
    with workshop_command(folder, *words) as command:
        assert command.stdout is not None
        while "from the print" not in command.stdout.readline():
            pass
        found = re.search(r"AGE-SECRET-KEY-1[A-Z0-9]+", re.sub(r"\s", "", text_of(pdf)))
        assert found is not None
        # The line after it in the print begins in small letters.
        out, errors = command.communicate(f"{found[0][:74]}\n", timeout=LIMIT_S)
    assert command.returncode == 0, errors
    assert "Delete" in out
    assert "signing key" in out
    assert pdf.stat().st_mode & 0o077 == 0
    kept = [path for path in folder.rglob("*") if path.is_file()]
    assert all(found[0][:74].encode() not in path.read_bytes() for path in kept)


def test_a_print_that_was_not_read_back_right_is_removed_and_makes_no_workshop(
    tmp_path: Path,
) -> None:
    folder, pdf = tmp_path / "workshop", tmp_path / "paper.pdf"
    with workshop_command(folder, "init", "--address", "127.0.0.1", "--paper", str(pdf)) as command:
        _, errors = command.communicate(f"{new_identity()[0]}\n", timeout=LIMIT_S)
    assert command.returncode == 65
    assert "does not open the test file" in errors
    assert list(tmp_path.rglob("*")) == []


def test_the_paper_is_not_kept_in_the_workshops_folder(tmp_path: Path) -> None:
    folder = tmp_path / "workshop"
    mine = tmp_path / "mine.pdf"
    mine.write_bytes(b"mine")
    for paper, why in ((folder / "paper.pdf", "own folder"), (mine, "exists already")):
        words = ("init", "--address", "127.0.0.1", "--paper", str(paper))
        with workshop_command(folder, *words) as command:
            _, errors = command.communicate(timeout=LIMIT_S)
        assert command.returncode == 64
        assert why in errors
    assert mine.read_bytes() == b"mine"


def test_a_terminal_shows_the_code_to_be_scanned(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {
        **os.environ,
        "FIELDKIT_WORKSHOP": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm",
    }
    words = [*FIELDKIT, "workshop", "init", "--address", "127.0.0.1"]
    with subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as run:
        os.close(theirs)
        shown = b""
        while b"from the paper" not in shown:
            shown += os.read(ours, 4096)
        run.kill()
    os.close(ours)
    assert shown.count("\N{LOWER HALF BLOCK}".encode()) + shown.count("█".encode()) > 20
