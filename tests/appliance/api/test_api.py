"""The API over its real socket, without hw: bodies, errors, streams, the document about them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.api.messages import Problem
from appliance.api.openapi import document
from appliance.api.routes import ROUTES
from appliance.client import ApiError, Client, NotRunning
from appliance.supervisor import appliance_program, in_environment
from tests.appliance.api.conftest import NAME, Kit


def problem(answer: httpx.Response) -> dict[str, Any]:
    told: dict[str, Any] = answer.json()
    assert set(told) == set(Problem.__struct_fields__)
    assert told["what"].endswith((".", "?"))
    assert told["next_step"].endswith((".", "?"))
    return told


def test_the_socket_is_for_owner_and_group_only(kit: Kit) -> None:
    mode = (kit.folder / "run" / "appliance.sock").stat().st_mode
    assert stat.S_IMODE(mode) == 0o660


def test_the_document_is_served_and_names_every_route_and_type(kit: Kit) -> None:
    told = kit.http.get("/v1/openapi.json").json()
    assert told == json.loads(json.dumps(document()))
    assert told["openapi"] == "3.1.0"
    operations = [one for path in told["paths"].values() for one in path.values()]
    assert len(operations) == len(ROUTES)
    assert len({one["operationId"] for one in operations}) == len(ROUTES)
    known = set(told["components"]["schemas"])
    used = {word.rpartition("/")[2] for word in references(told)}
    assert used <= known
    assert {"Problem", "RunPlan", "GateResult"} <= known


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


OPEN = {
    "/about", "/diagnostics", "/doctor", "/lock", "/profiles", "/status", "/sync", "/technicians",
    "/unlock",
}  # fmt: skip
"""Paths that need no key: to unlock the kit, and to see why it cannot be."""
KEYED = {("POST", "/sync"), ("POST", "/technicians")}
"""What needs one although its path can be looked at without."""


def test_a_locked_kit_answers_only_what_needs_no_key(kit: Kit) -> None:
    assert kit.client.status().locked
    assert "hw" in {check.name for check in kit.client.doctor().checks}
    for route in ROUTES:
        if route.path in OPEN and (route.method, route.path) not in KEYED:
            continue
        path = "/v1" + re.sub(r"{\w+}", "x", route.path)
        answer = kit.http.request(route.method, path, json=sample(route.request))
        assert answer.status_code == 423, route.path
        assert problem(answer)["code"] == "locked"


def sample(kind: type | None) -> dict[str, Any] | None:
    """A body that is right in form."""
    if kind is None:
        return None
    values: dict[str, Any] = {}
    for name in getattr(kind, "__struct_fields__", ()):
        values[name] = "x"
    special: dict[str, Any] = {
        "risk_digest": "0" * 64,
        "settings": ["a.b=c"],
        "what": "all",
        "text": "terms",
        "strokes": [[[1, 1, 0]]],
    }
    for name in values:
        if name in special:
            values[name] = special[name]
        elif name in ("content", "plan", "manifest", "known_good"):
            values[name] = "eA=="
        elif name in ("did", "year", "odometer_km"):
            values[name] = 2000
        elif name == "install":
            values[name] = False
    return values


def test_hw_that_is_away_is_said_by_status_and_answered_503(kit: Kit) -> None:
    kit.unlocked()
    status = kit.client.status()
    assert status.hw is None
    assert status.hw_problem is not None
    assert "does not answer" in status.hw_problem.what
    answer = kit.post(
        "/identify", {"link": "can://virtual/x?tx=0x7E0&rx=0x7E8", "profile": "sim-engine"}
    )
    assert answer.status_code == 503
    assert problem(answer)["exit_status"] == 69


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"technician": "maria"}', "missing required field `passphrase`"),
        (b'{"technician": "maria", "passphrase": 5}', "Expected `str`"),
        (b'{"technician": "maria", "passphrase": "x", "more": 1}', "unknown field `more`"),
        (b"\xff\xfe", ""),
    ],
)
def test_a_malformed_body_is_answered_400_with_the_field(kit: Kit, body: bytes, said: str) -> None:
    answer = kit.http.post("/v1/unlock", content=body)
    assert answer.status_code == 400
    told = problem(answer)
    assert told["code"] == "usage"
    assert said in told["what"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/nonsense"), ("DELETE", "/v1/jobs")])
def test_what_does_not_exist_is_said_in_the_same_form(kit: Kit, method: str, path: str) -> None:
    answer = kit.http.request(method, path)
    assert answer.status_code in (404, 405)
    assert problem(answer)["what"] == f"{method} {path} does not exist."


def test_garbage_instead_of_http_does_not_end_the_appliance(kit: Kit) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(10)
        sock.connect(str(kit.folder / "run" / "appliance.sock"))
        sock.sendall(b"\x00\xff" * 1000 + b"\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 400")
    assert kit.client.status().locked


def test_wrong_passphrase_and_unknown_technician_are_not_told_apart(kit: Kit) -> None:
    wrong = kit.post("/unlock", {"technician": NAME, "passphrase": "not the right one"})
    unknown = kit.post("/unlock", {"technician": "nobody", "passphrase": "not the right one"})
    assert wrong.json() == unknown.json()
    assert problem(wrong)["exit_status"] == 77


def test_an_unknown_job_is_404(kit: Kit) -> None:
    kit.unlocked()
    answer = kit.http.get("/v1/jobs/01a2083a-0000")
    assert answer.status_code == 404
    assert problem(answer)["code"] == "not_there"


def test_a_job_is_opened_shown_followed_and_verified(kit: Kit) -> None:
    kit.unlocked()
    job = kit.client.job_new("Fleet Ltd", "Golf, plate AB-123", "does not start")
    assert kit.client.job_show(job.job[-8:]) == job
    assert kit.client.job_list().jobs == [job]
    (event,) = kit.client.events(job.job)
    assert (event.seq, event.kind) == (1, "job_created")
    assert event.body["complaint"] == "does not start"
    assert list(kit.client.events(job.job, after=1)) == []
    assert kit.client.job_verify(job.job).head == job.head


def test_a_long_list_of_jobs_comes_page_by_page(kit: Kit) -> None:
    kit.unlocked()
    made = [kit.client.job_new(f"Mr {letter * 3}", "Golf").job for letter in "klmnopq"]
    made.reverse()
    page = kit.client.job_list(limit=3)
    assert ([job.job for job in page.jobs], page.more) == (made[:3], True)
    page = kit.client.job_list(before=made[3], limit=3)
    assert ([job.job for job in page.jobs], page.more) == (made[4:], False)
    assert [job.job for job in kit.client.jobs(at_once=3)] == made
    assert [job.customer for job in kit.client.jobs("golf mmm")] == ["Mr mmm"]
    assert [job.job for job in kit.client.jobs("nobody")] == []
    parameters = kit.http.get("/v1/openapi.json").json()["paths"]["/v1/jobs"]["get"]["parameters"]
    assert [one["name"] for one in parameters] == ["words", "before", "limit"]
    refused = kit.http.get("/v1/jobs?limit=many")
    assert problem(refused)["exit_status"] == 64


def test_a_follower_gets_what_happens_while_it_waits(kit: Kit) -> None:
    kit.unlocked()
    job = kit.client.job_new("Fleet Ltd", "Golf").job
    with kit.client_again() as other:
        events = kit.client.events(job, follow=True)
        assert next(events).kind == "job_created"
        other.job_export(job)
        assert next(events).kind == "exported"
        events.close()


def test_a_follower_is_told_when_the_kit_is_locked_under_it(kit: Kit) -> None:
    kit.unlocked()
    job = kit.client.job_new("Fleet Ltd", "Golf").job
    events = kit.client.events(job, follow=True)
    next(events)
    with kit.client_again() as other:
        other.lock()
    with pytest.raises(ApiError) as told:
        next(events)
    assert told.value.code in ("locked", "store_unavailable")


def test_followers_do_not_keep_commands_waiting(kit: Kit) -> None:
    kit.unlocked()
    job = kit.client.job_new("Fleet Ltd", "Golf").job
    streams = []
    for _ in range(20):
        client = kit.client_again()
        events = client.events(job, follow=True)
        next(events)
        streams.append((client, events))
    assert kit.client.job_show(job).job == job
    for client, events in streams:
        events.close()
        client.close()


def test_a_client_without_an_appliance_says_so(short_tmp: Path) -> None:
    with Client(short_tmp / "appliance.sock") as client, pytest.raises(NotRunning) as told:
        client.status()
    assert told.value.exit_status == 69
    assert told.value.next_step == "Start it with 'fieldkit up'."


def test_a_second_appliance_does_not_take_the_firsts_place(kit: Kit) -> None:
    run = kit.folder / "run"
    ended = subprocess.run(
        [sys.executable, "-m", "appliance"],
        env={**os.environ, "FIELDKIT_RUN": str(run), "FIELDKIT_STATE": str(kit.folder / "state")},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 69
    assert "An appliance already answers" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert kit.client.status().locked


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_appliance_ends_in_order_when_it_is_told_to(
    short_tmp: Path, number: signal.Signals
) -> None:
    environment = {"FIELDKIT_RUN": str(short_tmp), "FIELDKIT_STATE": str(short_tmp)}
    with subprocess.Popen(
        [sys.executable, "-m", "appliance"],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "Started server process" in process.stderr.readline()
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(timeout=20) == (0 if number == signal.SIGTERM else 130)
    assert "Traceback" not in rest


def test_a_socket_left_by_a_killed_appliance_is_taken_over(kit: Kit) -> None:
    kit.programs.kill("appliance")
    with pytest.raises(NotRunning):
        kit.client.status()
    run = kit.folder / "run"
    environment = {"FIELDKIT_STATE": str(kit.folder / "state"), "FIELDKIT_RUN": str(run)}
    kit.programs.start(in_environment(appliance_program(run), environment))
    assert kit.client.status().locked


def test_the_client_brings_neither_server_nor_database() -> None:
    script = (
        "import sys, appliance.client; "
        "print([name for name in ('starlette', 'uvicorn', 'peewee', 'apsw', 'reportlab', "
        "'appliance.service') if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    assert ended.stdout.strip() == "[]"
