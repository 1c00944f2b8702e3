"""A technician of the workshop unlocks a kit that never saw them, writes, and is taken off it."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.client import ApiError
from tests.stack import Stack, running_stack
from tests.test_main_job import REFUSED, begin, new_bytes, settled
from tests.test_workshop import (
    free_port,
    made_workshop,
    serving,
    wait_for,
    workshop_command,
    workshop_json,
)

NAME, PASSPHRASE = "thandi", "five words for every van"


def secret(folder: Path) -> str:
    """The file with the passphrase."""
    file = folder / "passphrase"
    file.touch(0o600)
    file.write_text(f"{PASSPHRASE}\n")
    return str(file)


def enrolled(stack: Stack, folder: Path, port: int) -> None:
    code = workshop_json(folder, "enrol", "Van 1", "--port", str(port))["code"]
    stack.json("sync", "enrol", code)
    wait_for(stack, "idle")


def test_a_technician_of_the_workshop_writes_on_a_kit_and_is_taken_off_it(tmp_path: Path) -> None:
    folder, port = tmp_path / "workshop", free_port()
    made_workshop(folder)
    with running_stack() as stack, serving(folder, port):
        enrolled(stack, folder, port)
        with stack.client() as client, pytest.raises(ApiError, match="do not fit"):
            client.unlock(NAME, PASSPHRASE)
        file = secret(tmp_path)
        added = workshop_json(folder, "technician", "add", NAME, "--new-passphrase-file", file)
        assert added == {"technician": NAME, "version": 1}
        stack.unlock()
        wait_for(stack, "idle")
        with stack.client() as client:
            client.lock()
            client.unlock(NAME, PASSPHRASE)

        work = begin(stack, "engine")
        data = new_bytes()
        plan = work.plan_flash(data)
        settled(work, plan)
        words = ("job", "run", plan["plan"], "--yes-i-accept", plan["risk_digest"])
        ended = stack.fieldkit(*words, "--passphrase-file", file)
        assert ended.returncode == 0, ended.stderr
        assert work.memory() == data

        with workshop_command(folder, "publish", "revocation", "technician", NAME) as command:
            _, told = command.communicate(timeout=60)
        assert (command.returncode, "technician remove thandi" in told) == (64, True)
        workshop_json(folder, "technician", "remove", NAME)
        wait_for(stack, "idle")
        mark = stack.mark()
        again = work.plan_flash(new_bytes())
        settled(work, again)
        words = ("job", "run", again["plan"], "--yes-i-accept", again["risk_digest"])
        ended = stack.fieldkit(*words, "--passphrase-file", file)
        assert ended.returncode == REFUSED, ended.stderr
        assert stack.writes(mark) == []
        assert work.memory() == data
        with stack.client() as client:
            client.lock()
            with pytest.raises(ApiError, match="do not fit"):
                client.unlock(NAME, PASSPHRASE)
        (listed,) = workshop_json(folder, "technician", "list")["technicians"]
        assert (listed["name"], bool(listed["removed"])) == (NAME, True)
