"""Jobs are found by the beginnings of their words, the newest first, rare words or common."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest

from appliance.ids import uuid7
from appliance.records import Customer, JobView, Vehicle
from appliance.records.view import search_text
from appliance.workshop import search
from appliance.workshop.search import (
    FoundJob,
    JobQuery,
    index_job,
    search_jobs,
    words_of_job,
)
from appliance.workshop.tables import Models
from tests.appliance.records.sample import identified
from tests.appliance.workshop.conftest import Workshop

START, LIMIT_S = 1_000_000, 60.0
MAKES = ("Volkswagen Golf", "Toyota Hilux", "Ford Ranger", "Škoda Fabia")
NAMES = ("Müller", "van der Merwe", "Botha", "Schmidt")


@dataclass
class Filled:
    workshop: Workshop
    views: list[JobView]

    def found(self, words: str, state: str = "") -> list[str]:
        asked = JobQuery(words=words, state=state, limit=500)
        return [job.view.job for job in search_jobs(self.workshop.hub.database, asked).jobs]

    def expected(self, *starts: str, state: str = "") -> list[str]:
        """The same, by looking at every job."""
        return [
            view.job
            for view in reversed(self.views)
            if (not state or view.state == state)
            and all(
                any(word.startswith(start) for word in search.words_of(search_text(view)))
                for start in starts
            )
        ]


def view_of(number: int, draw: random.Random) -> JobView:
    return JobView(
        job=uuid7(),
        customer=Customer(draw.choice(NAMES), f"+27 82 {number:07d}", f"c{number}@example.org"),
        vehicle=Vehicle(draw.choice(MAKES), f"WVWZZZ1JZXW{number:06d}", f"B-FK {number}"),
        complaint="Stalls when hot",
        technician="anna",
        made="2026-01-01T00:00:00Z",
        length=1,
        head="0" * 64,
        state=draw.choice(("draft", "verified", "refused")),
    )


def add_job(tables: Models, view: JobView, received: int) -> None:
    """Put a job into the list, with its words."""
    words = words_of_job(view, [], "")
    row = tables.jobs.create(
        job=view.job, kit="k", state=view.state, vin=view.vehicle.vin, made=view.made,
        search=words, received=received, view=msgspec.json.encode(view),
    )  # fmt: skip
    index_job(tables, row.number, words, "")


@pytest.fixture(scope="module")
def filled(workshop: Workshop) -> Iterator[Filled]:
    draw = random.Random(7)
    views = [view_of(number, draw) for number in range(300)]

    def fill(tables: Models) -> None:
        for number, view in enumerate(views):
            add_job(tables, view, START + number)

    def empty(tables: Models) -> None:
        tables.jobs.delete().execute()
        tables.words.delete().execute()

    workshop.hub.database.write(fill)
    yield Filled(workshop, views)
    workshop.hub.database.write(empty)


@pytest.mark.parametrize(
    "asked",
    [
        "golf", "GOLF Müller", "muller", "skoda", "wvwzzz1jzxw00012", "w", "s", "82 0000042",
        "example botha toyota", "merwe hil", "stalls", "nothing", "golf hilux", "100% b_fk",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "limits",
    [(12, 10_000, 1_000), (1, 40, 1_000), (0, 0, 1_000), (0, 0, 40), (12, 0, 25)],
    ids=["usual", "small", "walk", "walk in slices", "lists in slices"],
)
def test_what_is_found_is_what_looking_at_every_job_finds(
    filled: Filled, asked: str, limits: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the three ways, forced by their limits, finds the same."""
    for name, value in zip(("FEW_WORDS", "FEW_JOBS", "SLICE"), limits, strict=True):
        monkeypatch.setattr(search, name, value)
    monkeypatch.setattr(search, "WITHIN_S", LIMIT_S)
    starts = search.words_of(asked)
    assert filled.found(asked) == filled.expected(*starts)
    assert filled.found(asked, state="refused") == filled.expected(*starts, state="refused")


@pytest.mark.parametrize("few", [10_000, 40, 0], ids=["usual", "small", "walk"])
def test_days_narrow_what_is_found(
    filled: Filled, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "FEW_JOBS", few)
    database = filled.workshop.hub.database

    def found(words: str, since: int, until: int) -> set[str]:
        asked = JobQuery(words=words, since=since, until=until, limit=500)
        return {job.view.job for job in search_jobs(database, asked).jobs}

    def expected(words: str, first: int, end: int) -> set[str]:
        every = set(filled.expected(words)) if words else {view.job for view in filled.views}
        return {view.job for view in filled.views[first:end]} & every

    assert found("", START + 50, START + 60) == expected("", 50, 60)
    assert found("", START + 290, 0) == expected("", 290, 300)
    assert found("", 0, START + 200) == expected("", 0, 200)
    assert found("golf", START + 50, START + 200) == expected("golf", 50, 200)


def test_pages_go_on_where_the_one_before_ended(filled: Filled) -> None:
    whole, pages, before = filled.found("golf"), list[str](), 0
    while True:
        asked = JobQuery(words="golf", limit=20, before=before)
        page = search_jobs(filled.workshop.hub.database, asked).jobs
        if not page:
            break
        pages += [job.view.job for job in page]
        before = page[-1].number
    assert pages == whole
    assert len(whole) > 20


@pytest.mark.parametrize(
    ("words", "filters"),
    [
        ("golf hilux", {}),
        ("golf botha", {}),
        ("stalls hot", {"state": "refused"}),
        ("stalls", {"state": "draft", "kit": "none"}),
        ("golf", {"since": START + 100, "until": START + 250}),
        ("w", {"state": "verified"}),
    ],
)
def test_a_search_that_takes_long_tells_how_far_it_came_and_goes_on_from_there(
    filled: Filled, words: str, filters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, asked = filled.workshop.hub.database, JobQuery(words=words, limit=500, **filters)
    monkeypatch.setattr(search, "WITHIN_S", LIMIT_S)
    at_once = search_jobs(database, asked)
    assert at_once.reached == 0
    for name, value in (("WITHIN_S", -1), ("FEW_JOBS", 0), ("SLICE", 40)):
        monkeypatch.setattr(search, name, value)
    jobs, reached, requests = list[FoundJob](), [0], 0
    while requests == 0 or reached[-1]:
        found = search_jobs(database, replace(asked, before=reached[-1]))
        assert all(one.number >= found.reached for one in found.jobs)
        jobs += found.jobs
        reached.append(found.reached)
        requests += 1
    assert jobs == at_once.jobs
    assert reached[1:-1] == sorted(set(reached[1:-1]), reverse=True)
    if filters.get("kit") != "none":
        assert requests > 1, "no request looks at all of them"


def test_what_an_ecu_said_of_itself_is_found_too_and_a_job_keeps_its_words(filled: Filled) -> None:
    database, view = filled.workshop.hub.database, filled.views[17]
    assert filled.found("14c204") == []

    def identify(tables: Models) -> None:
        row = tables.jobs.get(tables.jobs.job == view.job)
        body = identified("1.0.7")
        event = type("Event", (), {"body": body})()
        words = words_of_job(view, [event], row.search)
        index_job(tables, row.number, words, row.search)
        tables.jobs.update(search=words).where(tables.jobs.number == row.number).execute()

    database.write(identify)
    assert filled.found("14c204") == [view.job]
    assert view.job in filled.found("wvwzzz1jzxw000017")
