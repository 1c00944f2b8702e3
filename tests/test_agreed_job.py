"""Keys are learned on the whole simulated kit: with the customer's signature, else not."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hw.sim.fleet import VIN
from tests.appliance.agreements import SIGNATURE
from tests.stack import Stack, running_stack
from tests.test_main_job import REFUSED, Work, begin, fresh, settled

LEARN = "2e0601"
"""WriteDataByIdentifier of the cluster's immobiliser."""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack() as running:
        yield running


@pytest.fixture(scope="module")
def cluster(stack: Stack) -> Work:
    return begin(stack, "cluster")


def plan(work: Work, *changes: str) -> dict[str, Any]:
    return work.stack.json(
        *("plan", "code", *changes, "--job", work.job, "--profile", "sim-cluster"),
        *("--link", work.stack.link("cluster", "can")),
        *("--out", str(fresh(work.stack, "plan"))),
    )


def agree(work: Work, text: str, job: str = "") -> subprocess.CompletedProcess[str]:
    strokes = fresh(work.stack, "strokes.json")
    strokes.write_text(json.dumps(SIGNATURE))
    words = ("job", "agree", job or work.job, text, "--name", "Thandi Nkosi")
    return work.stack.fieldkit(*words, "--strokes", str(strokes))


def test_keys_are_learned_only_after_the_customer_signed(stack: Stack, cluster: Work) -> None:
    learn = plan(cluster, "immobiliser.keys=3")
    assert learn["risk_class"] == "immobiliser"
    assert learn["agreements"] == ["immobiliser"]
    mark = stack.mark()

    dry = stack.fieldkit("job", "run", learn["plan"], "--dry-run")
    assert dry.returncode == REFUSED
    assert "CUSTOMER_AGREEMENT: The customer has not signed the text 'immobiliser'" in dry.stderr
    ended = cluster.run(learn)
    assert ended.returncode == REFUSED
    assert "CUSTOMER_AGREEMENT: The customer has not signed" in ended.stderr
    assert stack.writes(mark) == []

    unknown = agree(cluster, "immobiliser")
    assert "does not know the VIN" in unknown.stderr
    link = stack.link("cluster", "can")
    stack.json("identify", "--profile", "sim-cluster", "--link", link, "--job", cluster.job)
    assert agree(cluster, "terms").returncode == 0
    assert cluster.run(learn).returncode == REFUSED
    assert stack.writes(mark) == []

    assert agree(cluster, "immobiliser").returncode == 0
    settled(cluster, learn)
    ended = cluster.run(learn)
    assert ended.returncode == 0, ended.stderr
    assert "signed by Thandi Nkosi" in ended.stdout
    assert [text for text in stack.writes(mark) if text.startswith("2e")] == [f"{LEARN}0301"]
    assert stack.control(do="state", ecu="cluster")["dids"]["0x0601"] == "0301"
    recorded(stack, cluster)


def recorded(stack: Stack, work: Work) -> None:
    """The record, its export and its report say who signed what."""
    folder = fresh(stack, "export")
    stack.json("job", "export", work.job, "--to", str(folder))
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    agreed = [line["body"] for line in lines if line["kind"] == "agreement_signed"]
    statements = [json.loads(body["statement"]) for body in agreed]
    assert [one["text"] for one in statements] == ["terms", "immobiliser"]
    assert {one["vin"] for one in statements} == {VIN.decode()}
    assert statements[1]["strokes"] == [[list(point) for point in s] for s in SIGNATURE]
    report = pdf_text(folder / "report.pdf")
    for words in ("Work on keys and the immobiliser", "Thandi Nkosi", "CUSTOMER_AGREEMENT"):
        assert words in report


def pdf_text(path: Path) -> str:
    words = ["pdftotext", "-layout", str(path), "-"]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


def test_an_agreement_of_another_job_does_not_count(stack: Stack, cluster: Work) -> None:
    other = begin(stack, "cluster")
    learn = plan(other, "immobiliser.keys=4")
    mark = stack.mark()
    ended = other.run(learn)
    assert ended.returncode == REFUSED
    assert "CUSTOMER_AGREEMENT" in ended.stderr
    assert stack.writes(mark) == []


def test_changing_which_trouble_codes_are_stored_needs_a_text_of_its_own(
    stack: Stack, cluster: Work
) -> None:
    change = plan(cluster, "fault_memory.lamp_faults=ignored")
    assert change["risk_class"] == "dtc_modification"
    mark = stack.mark()
    ended = cluster.run(change)
    assert "The customer has not signed the text 'dtc_modification'" in ended.stderr
    assert stack.writes(mark) == []


def test_keys_and_trouble_codes_are_two_plans(stack: Stack, cluster: Work) -> None:
    link = stack.link("cluster", "can")
    words = ("immobiliser.keys=5", "fault_memory.lamp_faults=ignored")
    both = stack.fieldkit(
        "plan", "code", *words, "--job", cluster.job, "--profile", "sim-cluster", "--link", link
    )
    assert both.returncode == 65
    assert "dtc_modification and immobiliser in one write" in both.stderr
    assert "Make a plan for each of them." in both.stderr


def test_a_restore_that_gives_keys_back_needs_the_agreements_too(
    stack: Stack, cluster: Work
) -> None:
    restore = stack.json(
        *("backup", "restore", cluster.backup, "--job", cluster.job, "--profile", "sim-cluster"),
        *("--link", stack.link("cluster", "can"), "--out", str(fresh(stack, "plan"))),
    )
    assert restore["risk_class"] == "restore"
    assert restore["agreements"] == ["immobiliser", "dtc_modification"]
    mark = stack.mark()
    assert "'dtc_modification'" in cluster.run(restore).stderr
    assert stack.writes(mark) == []
