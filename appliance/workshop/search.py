"""Finding jobs by the beginnings of words, among a million as among ten.

Each job's words lie in a table, ordered by word and then by the number in which jobs arrived. What
is asked is answered from the word that fewest jobs have; how depends on what that word is:

- It stands for a few words ('golf', 'mull'): each of them has its jobs in order, so the newest are
  read off and the rest is never looked at.
- It stands for many words but few jobs (the first half of a VIN): these jobs are taken and sorted.
- It stands for many words and many jobs ('w'): then jobs that have it are everywhere, and the list
  of jobs is walked from its newest.

In each way the other words, and the filters, are looked for in the job's own row. Days on which few
jobs arrived narrow it as a word does.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any

import msgspec

from appliance.records.events import Event, Identified
from appliance.records.view import JobView, folded, search_text
from appliance.workshop.tables import HubDatabase, Models

FEW_WORDS, FEW_JOBS = 12, 10_000
MOST_WORDS, LONGEST_WORD = 400, 64
"""Of one job: more is no longer something that anybody searches for."""
MOST_ASKED = 8
FOREVER = 1 << 62
"""Later than any job, in seconds since 1970."""
_WORD = re.compile(r"[^\W_]+")
_END = "\U0010ffff"
"""Comes after every letter."""


@dataclass(frozen=True)
class JobQuery:
    """Which jobs a list shows; what is empty does not filter.

    Attributes:
        words: each must be the beginning of a word of the job; case and accents aside.
        state, kit: exactly this one.
        since, until: when its last record arrived, in seconds since 1970; `until` not included.
        before: only jobs that arrived before the one of this number: the next page.
        limit: at most so many.
    """

    words: str = ""
    state: str = ""
    kit: str = ""
    since: int = 0
    until: int = 0
    before: int = 0
    limit: int = 50


@dataclass(frozen=True)
class FoundJob:
    """A job in a list: its number here, its kit, when its last record arrived, and its view."""

    number: int
    kit: str
    received: int
    view: JobView


def search_jobs(database: HubDatabase, asked: JobQuery) -> list[FoundJob]:
    """The newest jobs that fit, the newest first.

    Raises:
        HubUnavailable: the database does not answer.
    """
    words = sorted(set(words_of(asked.words)), key=len, reverse=True)[:MOST_ASKED]
    with database.reading() as tables:
        jobs = tables.jobs
        fitting = reduce(and_, _conditions(tables, asked, words), jobs.number > 0)
        found = jobs.select().where(fitting).order_by(jobs.number.desc()).limit(asked.limit)
        ways: list[_Beginning | _Period] = [_Beginning(tables, word) for word in words]
        if asked.since or asked.until:
            ways.append(_Period(tables, asked))
        rarest = min(ways, key=lambda way: way.count, default=None)
        rows = {
            row.number: row
            for query in (rarest.narrowed(found) if rarest is not None else (found,))
            for row in _made(query)
        }
    return [rows[number] for number in sorted(rows, reverse=True)][: asked.limit]


def index_job(
    tables: Models, number: int, view: JobView, events: Sequence[Event], before: str
) -> str:
    """Note the words of a job.

    Args:
        number: the job's.
        view: what its list shows now.
        events: those that came now: what an ECU said of itself can be searched for, too.
        before: what this returned for the records before, empty for none.

    Returns:
        The words as the job's row holds them.
    """
    read = (event.body for event in events if isinstance(event.body, Identified))
    texts = [value.text for body in read for value in body.values]
    known = before.split()
    every = dict.fromkeys([*known, *words_of(" ".join([search_text(view), *texts]))])
    kept = list(every)[:MOST_WORDS]
    fresh = [{"word": word, "number": number} for word in kept[len(known) :]]
    if fresh:
        tables.words.insert_many(fresh).on_conflict_ignore().execute()
    return " " + " ".join(kept)


def words_of(text: str) -> list[str]:
    """The words of a text as they are compared, each once."""
    return list(dict.fromkeys(word[:LONGEST_WORD] for word in _WORD.findall(folded(text))))


class _Beginning:
    """The words that begin with what was asked for, and how many jobs have them, up to a limit."""

    def __init__(self, tables: Models, start: str) -> None:
        self._tables = tables
        words = tables.words
        self._range = (words.word >= start) & (words.word < start + _END)
        some = words.select(words.number).where(self._range).limit(FEW_JOBS)
        self.count: int = some.count()

    def narrowed(self, found: Any) -> Iterator[Any]:
        """A query for jobs, narrowed to those that have such a word; one or more of them."""
        words, jobs = self._tables.words, self._tables.jobs
        spelled = self._spelled()
        if len(spelled) <= FEW_WORDS:
            for word in spelled:
                of_word = (words.number == jobs.number) & (words.word == word)
                yield found.join(words, on=of_word).order_by(words.number.desc())
        elif self.count < FEW_JOBS:
            yield found.where(jobs.number.in_(words.select(words.number).where(self._range)))
        else:
            yield found

    def _spelled(self) -> Collection[str]:
        """The words themselves, up to one more than few."""
        words, found = self._tables.words, list[str]()
        while len(found) <= FEW_WORDS:
            query = words.select(words.word).where(self._range).order_by(words.word).limit(1)
            if found:
                query = query.where(words.word > found[-1])
            word = query.scalar()
            if word is None:
                break
            found.append(word)
        return found


class _Period:
    """The jobs whose last record arrived on some days, and how many there are, up to a limit."""

    def __init__(self, tables: Models, asked: JobQuery) -> None:
        self._tables = tables
        jobs = tables.jobs
        until = asked.until or FOREVER
        of_period = jobs.select(jobs.number).where(jobs.received.between(asked.since, until))
        self._few = of_period.limit(FEW_JOBS)
        self.count: int = self._few.count()

    def narrowed(self, found: Any) -> Iterator[Any]:
        """A query for jobs, narrowed where that leaves few; the filter itself is in it already."""
        few = self.count < FEW_JOBS
        yield found.where(self._tables.jobs.number.in_(self._few)) if few else found


def _conditions(tables: Models, asked: JobQuery, words: Sequence[str]) -> Iterator[Any]:
    jobs = tables.jobs
    for word in words:
        yield jobs.search.contains(f" {word}")
    if asked.state:
        yield jobs.state == asked.state
    if asked.kit:
        yield jobs.kit == asked.kit
    if asked.since:
        yield jobs.received >= asked.since
    if asked.until:
        yield jobs.received < asked.until
    if asked.before:
        yield jobs.number < asked.before


def _made(query: Any) -> list[FoundJob]:
    return [
        FoundJob(
            row.number, row.kit, row.received, msgspec.json.decode(bytes(row.view), type=JobView)
        )
        for row in query
    ]
