"""Kits of every earlier schema: they open, nothing of them is lost, and they hand over as ever."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from appliance.records import JobFilter, JobView
from appliance.store.schema import MIGRATIONS
from appliance.sync.handover import Handover, Way, hand_over
from appliance.sync.outbox import Unfrozen
from appliance.sync.silence import Silence
from tests.appliance.records.sample import KIT_KEY, open_records
from tests.appliance.sync.golden import FILES, golden, outbox_of
from tests.appliance.workshop.conftest import Workshop, serving
from tests.appliance.workshop.test_handover import Kit

VERSIONS = [number for number in range(1, len(MIGRATIONS) + 1) if golden(number).exists()]
OUTBOX_SINCE = 2


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    """One for each: all golden kits are the same kit."""
    with serving(tmp_path / "workshop") as workshop:
        yield workshop


def test_every_version_that_ever_was_has_a_golden_kit() -> None:
    wanted = list(range(1, len(MIGRATIONS)))
    assert [number for number in wanted if number not in VERSIONS] == [], (
        "before a migration is added: python -m tests.appliance.sync.golden"
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_kit_of_an_older_schema_opens_and_hands_over(
    version: int, tmp_path: Path, workshop: Workshop
) -> None:
    shutil.copyfile(golden(version), tmp_path / "appliance.db")
    with open_records(tmp_path) as records, workshop.enrolled(KIT_KEY) as hub:
        jobs = records.list_jobs()
        assert {view.customer.name for view in jobs} == {"Zoë Müller", "Jan de Villiers"}
        assert [view.customer.name for view in records.list_jobs(JobFilter(words="muller"))] == [
            "Zoë Müller"
        ]
        for view in jobs:
            assert records.verify_job(view.job).head.length == view.length
        outbox = outbox_of(records)
        frozen = [(item.sequence, item.sha256) for item in outbox.items()]
        assert len(frozen) == (version >= OUTBOX_SINCE)

        assert outbox.freeze() == Unfrozen()
        assert [(item.sequence, item.sha256) for item in outbox.items()][: len(frozen)] == frozen
        contents = {hashlib.sha256(one).hexdigest(): one for one in FILES.values()}
        way = Way(
            hub,
            Kit(records, workshop, hub).trusted,
            lambda blob: io.BytesIO(contents.get(blob.sha256) or records.store.blob(blob.sha256)),
            lambda: True,
        )
        assert hand_over(outbox, way) == Handover(handed_over=2)

        with workshop.hub.database.reading() as tables:
            rows = {row.job: row.view for row in tables.jobs.select()}
            numbers = [row.sequence for row in tables.records.select()]
        assert sorted(numbers) == [1, 2]
        assert {job: msgspec.json.decode(view, type=JobView) for job, view in rows.items()} == {
            view.job: view for view in jobs
        }
        silence = Silence(records.store)
        assert silence.standing() is None
        silence.begin()
        assert silence.standing() is not None
