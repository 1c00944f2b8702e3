"""A customer signs a text on a job: over the socket and by the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.api import messages as m
from appliance.client import ApiError
from appliance.records.events import AgreementSigned
from appliance.texts import install_text
from hw.sshsig import verify
from hw.statements import MAX_POINTS, NAMESPACE_AGREEMENT, AgreementStatement, Point
from hw.trust import load_signers
from tests.appliance.agreements import SIGNATURE
from tests.appliance.api.conftest import NAME, Kit
from tests.appliance.api.test_technicians import fieldkit

VIN = "1M8GDM9AXKP042788"


def new_job(kit: Kit, vin: str = VIN) -> str:
    request = m.JobNew(customer="Thandi Nkosi", vehicle="Polo", vin=vin)
    return kit.client.job_open(request).job


def ask(kit: Kit, text: str = "immobiliser", language: str = "en", **changes: Any) -> m.Agree:
    shown = kit.client.agreements(new_job(kit), language=language).agreements
    read = next(one for one in shown if one.text == text)
    request = m.Agree(
        text=read.text, sha256=read.sha256, customer="Thandi Nkosi", strokes=SIGNATURE
    )
    return msgspec.structs.replace(request, **changes)


def signed(kit: Kit, job: str) -> list[AgreementSigned]:
    """The agreements on a job's record."""
    events = [event for event in kit.client.events(job) if event.kind == "agreement_signed"]
    return [
        msgspec.convert({**event.body, "kind": event.kind}, AgreementSigned) for event in events
    ]


def test_what_is_signed_is_on_the_record_with_its_witness(one_kit: Kit) -> None:
    job = new_job(one_kit)
    read = one_kit.client.agreements(job, language="de").agreements
    assert [one.text for one in read] == ["terms", "immobiliser", "dtc_modification"]
    assert {one.language for one in read} == {"de"}
    assert read[0].languages == ["af", "de", "en"]
    assert not any(one.customer or one.wall for one in read)
    request = ask(one_kit, "terms", "de", customer="  Jürgen   Großmann ")
    assert one_kit.client.agree(job, request).what == f"Jürgen Großmann signed '{read[0].title}'."
    (body,) = signed(one_kit, job)
    assert body.text == read[0].content
    signers = load_signers(one_kit.folder / "state")
    document, signature = body.statement.encode(), body.signature.encode()
    assert verify(document, signature, NAMESPACE_AGREEMENT, signers) == f"technician:{NAME}"
    agreed = body.agreed
    assert (agreed.text, agreed.version, agreed.language) == ("terms", 1, "de")
    assert (agreed.text_sha256, agreed.customer) == (read[0].sha256, "Jürgen Großmann")
    assert (agreed.job, agreed.vin) == (job, VIN)
    assert (agreed.technician, agreed.role) == (NAME, "owner")
    assert agreed.strokes == SIGNATURE
    after = one_kit.client.agreements(job, language="en").agreements
    assert [one.customer for one in after] == ["Jürgen Großmann", "", ""]
    assert after[0].wall == agreed.made.wall
    assert one_kit.client.job_verify(job).events == 2


def test_a_language_that_there_is_not_is_shown_in_english(one_kit: Kit) -> None:
    shown = one_kit.client.agreements(new_job(one_kit), language="zu").agreements
    assert {one.language for one in shown} == {"en"}


LINE: list[list[Point]] = [[(100 + 10 * n, 200, 20 * n) for n in range(30)]]


@pytest.mark.parametrize(
    ("strokes", "said"),
    [
        ([[(1, 1, 0)]], "too short"),
        ([LINE[0][:7]], "too short"),
        ([[(100 + n, 200, 20 * n) for n in range(200)]], "too short"),
        ([[(100 + 10 * n, 200, 9 * n) for n in range(30)]], "too short"),
        ([[(500, 500, n) for n in range(500)]], "too short"),
        ([[*LINE[0], (500, 200, 10)]], "go back"),
        ([LINE[0], LINE[0]], "go back"),
    ],
)
def test_what_is_no_signature_is_refused(
    one_kit: Kit, strokes: list[list[Point]], said: str
) -> None:
    job = new_job(one_kit)
    with pytest.raises(ApiError, match=said) as error:
        one_kit.client.agree(job, ask(one_kit, strokes=strokes))
    assert error.value.next_step.startswith("Clear the pad")
    assert signed(one_kit, job) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"strokes": []},
        {"strokes": [[]]},
        {"strokes": [[[1, 2]]]},
        {"strokes": [[[-1, 2, 3]]]},
        {"customer": ""},
        {"customer": "x" * 101},
        {"text": "other"},
    ],
)
def test_a_request_that_makes_no_sense_is_one_sentence(
    one_kit: Kit, fields: dict[str, Any]
) -> None:
    job = new_job(one_kit)
    body = msgspec.to_builtins(ask(one_kit)) | fields
    reply = one_kit.post(f"/jobs/{job}/agreements", body)
    assert reply.status_code == 400
    assert reply.json()["what"]
    assert signed(one_kit, job) == []


def test_a_shortest_signature_and_a_very_long_one_are_taken(one_kit: Kit) -> None:
    job = new_job(one_kit)
    shortest: list[list[Point]] = [[(100 + 36 * n, 200, 43 * n) for n in range(8)]]
    one_kit.client.agree(job, ask(one_kit, strokes=shortest))
    long: list[list[Point]] = [
        [(n % 1000, (n * 7) % 1000, 10 * n + 100_000 * s) for n in range(2000)] for s in range(5)
    ]
    one_kit.client.agree(job, ask(one_kit, strokes=[*long, [(0, 0, 500_000)]]))
    first, second = signed(one_kit, job)
    assert first.agreed.strokes == shortest
    kept = second.agreed.strokes
    assert MAX_POINTS // 2 < sum(map(len, kept)) <= MAX_POINTS
    assert [(stroke[0], stroke[-1]) for stroke in kept[:-1]] == [(s[0], s[-1]) for s in long]
    assert kept[-1] == [(0, 0, 500_000)]


def test_without_a_car_or_a_name_nothing_is_signed(one_kit: Kit) -> None:
    job = new_job(one_kit, vin="")
    with pytest.raises(ApiError, match="VIN") as error:
        one_kit.client.agree(job, ask(one_kit))
    assert error.value.next_step == "Read an ECU of the car on this job first."
    with pytest.raises(ApiError, match="name is missing"):
        one_kit.client.agree(new_job(one_kit), ask(one_kit, customer="   "))
    assert signed(one_kit, job) == []


def test_a_newer_text_supersedes_what_was_read_and_what_was_signed(kit: Kit) -> None:
    kit.unlocked()
    job, read = new_job(kit), ask(kit, "terms")
    kit.client.agree(job, read)
    assert install_text(kit.folder / "state", "terms", "en", 1, "Terms\n\nOurs.\n")
    assert kit.client.agreements(job).agreements[0].customer == ""
    with pytest.raises(ApiError, match="newer text"):
        kit.client.agree(job, read)
    shown = kit.client.agreements(job, language="de").agreements[0]
    assert (shown.content, shown.languages) == ("Terms\n\nOurs.\n", ["en"])
    kit.client.agree(job, ask(kit, "terms", customer="Somebody"))
    assert kit.client.agreements(job).agreements[0].customer == "Somebody"


def test_a_locked_kit_shows_and_signs_nothing(kit: Kit) -> None:
    for call in (
        lambda: kit.client.agreements("1"),
        lambda: kit.client.agree(
            "1", m.Agree(text="terms", sha256="1", customer="x", strokes=SIGNATURE)
        ),
    ):
        with pytest.raises(ApiError) as error:
            call()
        assert error.value.code == "locked"


def test_the_command_line_does_the_same(one_kit: Kit, tmp_path: Path) -> None:
    job, strokes = new_job(one_kit), tmp_path / "strokes.json"
    strokes.write_text(json.dumps(SIGNATURE))
    words = ("job", "agree", job, "immobiliser", "--name", "Thandi Nkosi")
    done = fieldkit(one_kit, *words, "--strokes", str(strokes), "--language", "af")
    assert done.returncode == 0, done.stderr
    assert "Werk aan sleutels en die immobiliseerder" in done.stdout
    assert "Thandi Nkosi signed" in done.stdout
    (body,) = signed(one_kit, job)
    assert msgspec.json.decode(body.statement, type=AgreementStatement).language == "af"
    listed = fieldkit(one_kit, "job", "agreements", job)
    assert "Signed by Thandi Nkosi at" in listed.stdout
    assert listed.stdout.count("Not signed.") == 2
    told = json.loads(fieldkit(one_kit, "job", "agreements", job, "--json").stdout)
    assert [one["customer"] for one in told["agreements"]] == ["", "Thandi Nkosi", ""]
    strokes.write_text("[[1]]")
    wrong = fieldkit(one_kit, *words, "--strokes", str(strokes))
    assert wrong.returncode == 65
    assert "cannot be read" in wrong.stderr
    unknown = fieldkit(one_kit, "job", "agree", job, "x", "--name", "T", "--strokes", str(strokes))
    assert unknown.returncode == 64
    assert "Name one of: terms, immobiliser, dtc_modification." in unknown.stderr
    assert len(signed(one_kit, job)) == 1
