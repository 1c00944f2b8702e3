"""A kit and its workshop, each by its own commands: let in, hand over, be killed, be shut out."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.api import messages as m
from appliance.client import ApiError
from appliance.sync.enrolcode import enrol_code, read_code
from appliance.sync.order import Booking
from appliance.workshop.keys import load_keys
from appliance.workshop.program import open_hub
from tests.stack import FIELDKIT, ROOT, Stack, running_stack

LIMIT_S = 60.0
PROFILE = "sim-engine"


def workshop_command(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*FIELDKIT, "workshop", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "FIELDKIT_WORKSHOP": str(folder), "PYTHONPATH": str(ROOT)},
    )


def workshop_json(folder: Path, *words: str) -> dict[str, Any]:
    with workshop_command(folder, *words, "--json") as command:
        out, errors = command.communicate(timeout=LIMIT_S)
    assert command.returncode == 0, errors
    told: dict[str, Any] = json.loads(out)
    return told


def made_workshop(folder: Path) -> str:
    """`fieldkit workshop init`, with the identity typed back; returns what was shown."""
    with workshop_command(folder, "init", "--address", "127.0.0.1") as command:
        assert command.stdout is not None
        assert command.stdin is not None
        shown = ""
        while (found := re.search(r"AGE-SECRET-KEY-1[A-Z0-9]+", shown)) is None:
            shown += command.stdout.readline()
        out, errors = command.communicate(f"{found[0]}\n", timeout=LIMIT_S)
    assert command.returncode == 0, errors
    assert "The workshop is made" in out
    return found[0]


@contextmanager
def serving(folder: Path, port: int, *more: str) -> Iterator[subprocess.Popen[str]]:
    words = ("serve", "--host", "127.0.0.1", "--port", str(port), "--json")
    with workshop_command(folder, *words, *more) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "ready"
        try:
            yield process
        finally:
            process.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def wait_for(stack: Stack, state: str) -> m.Sync:
    with stack.client() as client:
        until = time.monotonic() + LIMIT_S
        while (view := client.sync_now()).state != state:
            assert time.monotonic() < until, view
            time.sleep(0.2)
    return view


def new_job(stack: Stack) -> str:
    with stack.client() as client:
        return client.job_new("Zoë Müller", "Golf IV").job


def taken(folder: Path) -> dict[str, int]:
    """How many events of each job lie at the hub."""
    hub, _ = open_hub(folder, "", "")
    with hub.database.reading() as tables:
        rows = list(tables.records.select(tables.records.job, tables.records.last))
    return {row.job: max(row.last, 0) for row in sorted(rows, key=lambda row: row.last)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "workshop"


def test_a_kit_is_let_in_and_its_jobs_and_backups_arrive_whatever_is_killed(folder: Path) -> None:
    identity = made_workshop(folder)
    assert all(identity not in path.read_text() for path in (folder / "keys").iterdir())
    port = free_port()
    with running_stack() as stack:
        with serving(folder, port):
            assert stack.json("sync", "status")["state"] == "not_set_up"
            code = workshop_json(folder, "enrol", "Van 1", "--port", str(port))["code"]
            stack.json("sync", "enrol", code)
            job = new_job(stack)
            with stack.client() as client:
                link = stack.link("engine", "doip")
                client.identify(link, PROFILE, job)
                backup = client.backup_make(m.BackupMake(link=link, profile=PROFILE, job=job))
                length = client.job_show(job).events
            view = wait_for(stack, "idle")
            assert (view.waiting, view.put_aside, view.kit) == (0, 0, "Van 1")
            assert taken(folder)[job] == length
            check_backup(stack, folder, backup.backup)
            check_downwards(stack, folder)
            (kit,) = workshop_json(folder, "kits")["kits"]
            assert (kit["name"], kit["waiting"] >= 0) == ("Van 1", True)

        # The hub was killed: the kit keeps what is new, and says why.
        second = new_job(stack)
        view = wait_for(stack, "waiting")
        assert "was not reached" in view.what
        assert second not in taken(folder)
        with serving(folder, port):
            wait_for(stack, "idle")
            assert taken(folder)[second] == 1
            workshop_json(folder, "revoke", "Van 1")
            third = new_job(stack)
            view = wait_for(stack, "paused")
            assert "shut out" in view.what
            assert third not in taken(folder)
            with stack.client() as client:
                assert client.job_show(third).events == 1


def check_downwards(stack: Stack, folder: Path) -> None:
    """What the workshop tells comes to the kit: an order, and a profile that it must not trust."""
    hub, _ = open_hub(folder, "", "")
    booking = Booking(way="visit", customer="Thandi", phone="1", make="VW", symptoms="Stalls.")
    reference = hub.orders.book(booking, "once").order.reference
    file = folder / "sim-engine.toml"
    file.write_bytes((stack.state / "profiles" / "sim-engine.toml").read_bytes())
    assert workshop_json(folder, "publish", "profile", str(file))["version"] == 1
    (folder / "terms.txt").write_text("We take care.")
    workshop_json(folder, "publish", "text", "terms", "en", str(folder / "terms.txt"))
    workshop_json(folder, "publish", "revocation", "profile", "generic-uds")
    view = wait_for(stack, "idle")
    names = [one["name"] for one in stack.json("profile", "list")["profiles"]]
    assert ("sim-engine" in names, "generic-uds" in names) == (True, False)
    assert ["does not hold" in why for why in view.changes_put_aside] == [True]
    (order,) = stack.json("order", "list")["orders"]
    assert (order["reference"], order["complaint"]) == (reference, "Stalls.")
    job = stack.json("order", "open", reference.lower())
    assert job["customer"] == "Thandi"
    wait_for(stack, "idle")
    assert stack.json("order", "show", reference)["state"] == "at_the_bench"
    assert hub.orders.by_reference(reference).job == job["job"]


def check_backup(stack: Stack, folder: Path, backup: str) -> None:
    """Every file of a backup that is needed to open it lies at the hub, byte by byte."""
    hub, _ = open_hub(folder, "", "")
    names = ("*.age", "manifest.json", "manifest.json.sig")
    medium = stack.state / "medium-a" / "fieldkit-backups" / backup
    files = [path for name in names for path in medium.glob(name)]
    assert len(files) >= 4
    with hub.database.reading() as tables:
        stored = {row.sha256 for row in tables.blobs.select()}
    contents = {b"".join(hub.blobs.read(name)) for name in stored}
    assert {path.read_bytes() for path in files} <= contents


def test_a_recovery_identity_that_was_not_written_down_right_makes_no_workshop(
    folder: Path,
) -> None:
    with workshop_command(folder, "init", "--address", "127.0.0.1") as command:
        out, errors = command.communicate("AGE-SECRET-KEY-1WRONG\n", timeout=LIMIT_S)
    assert command.returncode == 65
    assert "age identity is damaged" in errors
    assert "The workshop is made" not in out
    assert not (folder / "keys").exists()


def test_a_workshop_that_moved_is_found_again_and_the_kit_says_how_it_stands(
    folder: Path,
) -> None:
    made_workshop(folder)
    port, other_port = free_port(), free_port()
    with running_stack() as stack:
        with serving(folder, port):
            code = workshop_json(folder, "enrol", "Van 1", "--port", str(port))["code"]
            stack.json("sync", "enrol", code)
            wait_for(stack, "idle")
        job = new_job(stack)
        wait_for(stack, "waiting")
        with serving(folder, other_port):
            wait_for(stack, "idle")
        assert taken(folder)[job] == 1
        told = stack.fieldkit("sync", "status").stdout
        assert "last heard" in told
        assert "Van 1" in told


def test_a_code_of_another_workshop_or_none_enrols_nothing(folder: Path) -> None:
    made_workshop(folder)
    port = free_port()
    with running_stack() as stack, serving(folder, port):
        code = workshop_json(folder, "enrol", "Van 1", "--port", str(port))["code"]
        word = read_code(code)
        other = enrol_code(word.host, word.port, word.token, "0" * 64)
        nowhere = enrol_code(word.host, 1, word.token, word.authority)
        with stack.client() as client:
            with pytest.raises(ApiError, match="is not the workshop"):
                client.sync_enrol(other)
            with pytest.raises(ApiError, match="no code for enrolment"):
                client.sync_enrol("https://example.org/")
            assert client.sync().state == "not_set_up"
            client.sync_enrol(code)
            with pytest.raises(ApiError, match="was not reached"):
                client.sync_enrol(nowhere)
            assert client.sync_now().kit == "Van 1"


def test_the_hub_ends_in_words_where_its_port_is_taken(folder: Path) -> None:
    made_workshop(folder)
    assert load_keys(folder).addresses == ["127.0.0.1"]
    with socket.create_server(("127.0.0.1", 0)) as taken_port:
        port = str(taken_port.getsockname()[1])
        with workshop_command(folder, "serve", "--host", "127.0.0.1", "--port", port) as command:
            _, errors = command.communicate(timeout=LIMIT_S)
    assert command.returncode == 69
    assert "cannot serve on 127.0.0.1" in errors


@pytest.mark.parametrize("address", ["not a name!", "käse.example", "-x", "a..b", "x" * 64])
def test_an_address_that_no_kit_could_reach_makes_no_workshop(folder: Path, address: str) -> None:
    with workshop_command(folder, "init", f"--address={address}") as command:
        out, errors = command.communicate("", timeout=LIMIT_S)
    assert command.returncode == 64, errors
    assert f"'{address}' is no name or IP address" in errors
    assert "AGE-SECRET-KEY" not in out, "shown before all that was typed is known to be good"
    assert not (folder / "keys").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("serve", "--port", "99999"), "'--port': Input should be less than or equal to 65535"),
        (("enrol", "Van 1", "--port", "0"), "'--port': Input should be greater than or equal to 1"),
        (("publish", "revocation", "technician", "../anna"), "A technician's name must be"),
        (("publish", "revocation", "profile", "../../kit"), "No profile can be called '../../kit'"),
    ],
)
def test_what_cannot_be_is_said_in_words_and_changes_nothing(
    folder: Path, words: tuple[str, ...], told: str
) -> None:
    made_workshop(folder)
    with workshop_command(folder, *words) as command:
        _, errors = command.communicate(timeout=LIMIT_S)
    assert command.returncode in (64, 65), errors
    assert told in errors
    hub, _ = open_hub(folder, "", "")
    with hub.database.reading() as tables:
        assert not tables.changes.select().exists()
        assert not tables.tokens.select().exists()
