"""Finding jobs by the beginnings of words, among a million as among ten.

Each job's words lie in a table, ordered by word and then by the number in which jobs arrived. What
is asked is answered from the word that fewest jobs have; how depends on what that word is:

- It stands for a few words ('golf', 'mull'): each of them has its jobs in order, so the newest are
  read off and the rest is never looked at.
- It stands for many words but few jobs (the first half of a VIN): these jobs are taken and sorted.
- It stands for many words and many jobs ('w'): then jobs that have it are everywhere, and the list
  of jobs is walked from its newest.

Whether a job has the other words is asked of the table, too, where they stand for a few; what is
left, and the filters, is looked for in the job's own row. A state, a kit, and days on which few
jobs arrived narrow it as a word does.

Words that many jobs have and hardly one has together would have all of these looked at. So jobs are
looked at in slices, and after a while what was found is given out with how far the search came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from peewee import fn

from appliance.records.events import Event, Identified
from appliance.records.view import JobView, folded, search_text
from appliance.workshop.statements import Statement, given, written
from appliance.workshop.tables import HubDatabase, Models
from hw.clock import now

FEW_WORDS, FEW_JOBS = 12, 5_000
SLICE, WITHIN_S = 1_000, 0.04
"""So many jobs are looked at in one go, until that much time is gone."""
MOST_WORDS, LONGEST_WORD = 400, 64
"""Of one job: more is no longer something that anybody searches for."""
MOST_ASKED, WORDS_AT_ONCE = 8, 32
FOREVER = (1 << 63) - 1
"""Later than any job, in seconds since 1970; and no job has a higher number."""
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


@dataclass(frozen=True)
class Found:
    """What a search found, the newest first.

    Attributes:
        reached: those before the job of this number were not looked at yet; 0 where no others fit,
            or the list is as long as it may be.
        reached_at: when the last record of that job arrived, in seconds since 1970.
    """

    jobs: Sequence[FoundJob]
    reached: int = 0
    reached_at: int = 0


def search_jobs(database: HubDatabase, asked: JobQuery) -> Found:
    """The newest jobs that fit, as far as they are found in a short time.

    Raises:
        HubUnavailable: the database does not answer.
    """
    starts = sorted(set(words_of(asked.words)), key=len, reverse=True)[:MOST_ASKED]
    ends, before = now() + WITHIN_S, asked.before or FOREVER
    rows: dict[int, FoundJob] = {}
    with database.reading() as tables:
        words = [_Beginning(tables, start) for start in starts]
        ways: list[_Way] = [*words, *_narrowing(tables, asked)]
        way = min(ways, key=lambda one: (one.reach(before), one.count, not one.is_few))
        filters = list(_filters(tables, asked))
        found = tables.jobs.select().order_by(tables.jobs.number.desc()).limit(asked.limit)
        while True:
            reached = way.reach(before)
            for query, number in way.narrowed(found):
                others = [word.is_had(number) for word in words if word is not way]
                made = _made(query.where(number < before, number >= reached, *filters, *others))
                rows |= {job.number: job for job in made}
            if not reached or len(rows) >= asked.limit or now() >= ends:
                break
            before = reached
        newest = [rows[number] for number in sorted(rows, reverse=True)][: asked.limit]
        if not reached or len(newest) == asked.limit:
            return Found(newest)
        return Found(newest, reached, tables.jobs.get_by_id(reached).received)


def words_of_job(view: JobView, events: Sequence[Event], before: str) -> str:
    """The words of a job as its row holds them: each once, those that were there before first.

    Args:
        view: what its list shows now.
        events: those that came now: what an ECU said of itself can be searched for, too.
        before: what this returned for the records before, empty for none.
    """
    read = (event.body for event in events if isinstance(event.body, Identified))
    texts = [value.text for body in read for value in body.values]
    every = dict.fromkeys([*before.split(), *words_of(" ".join([search_text(view), *texts]))])
    return " " + " ".join(list(every)[:MOST_WORDS])


def index_job(tables: Models, number: int, words: str, before: str) -> None:
    """Note which words a job has that it had not before.

    Args:
        number: the job's.
        words, before: as `words_of_job` returned them, now and for the records before.
    """
    new = words.split()[len(before.split()) :]
    for start in range(0, len(new), WORDS_AT_ONCE):
        some = {str(place): word for place, word in enumerate(new[start : start + WORDS_AT_ONCE])}
        _adding(tables, len(some)).rows(number=number, **some)


def words_of(text: str) -> list[str]:
    """The words of a text as they are compared, each once."""
    return list(dict.fromkeys(word[:LONGEST_WORD] for word in _WORD.findall(folded(text))))


def _adding(tables: Models, count: int) -> Statement:
    """Adds so many words to a job: one statement, which costs a database little more than one word.

    Its words are given as '0', '1' and so on, its job as 'number'.
    """
    words, number = tables.words, given("number")
    rows = [{"word": given(str(place)), "number": number} for place in range(count)]
    return written(words, f"add {count}", lambda: words.insert_many(rows).on_conflict_ignore())


class _Way(Protocol):
    """How jobs are come by: those that fit are all among its own.

    Attributes:
        count: how many are its own, up to a limit.
        is_few: whether they are read off a few lists.
    """

    count: int
    is_few: bool

    def reach(self, before: int) -> int:
        """The number down to which a slice of its own lies, of those before a number; 0 where that
        is all of them.
        """

    def narrowed(self, found: Any) -> Iterator[tuple[Any, Any]]:
        """A query for jobs, narrowed to its own; one or more of them, each with the column that has
        the job's number.
        """


class _Beginning:
    """The jobs with words that begin with what was asked for."""

    def __init__(self, tables: Models, start: str) -> None:
        self._tables, self._start = tables, start
        words = tables.words
        self._range = (words.word >= start) & (words.word < start + _END)
        some = words.select(words.number).where(self._range).order_by(words.word, words.number)
        self.count = _counted(some.limit(FEW_JOBS))
        self._spelled = self._spell()
        self.is_few = len(self._spelled) <= FEW_WORDS

    def reach(self, before: int) -> int:
        """See `_Way`."""
        if self.count < FEW_JOBS:
            return 0
        if not self.is_few:
            return _reach(self._tables.jobs, (), before, SLICE)
        words = self._tables.words
        lists = [words.word == one for one in self._spelled]
        share = max(1, SLICE // max(1, len(lists)))
        return max((_reach(words, (one,), before, share) for one in lists), default=0)

    def narrowed(self, found: Any) -> Iterator[tuple[Any, Any]]:
        """See `_Way`."""
        words, jobs = self._tables.words, self._tables.jobs
        if self.is_few:
            for word in self._spelled:
                of_word = (words.number == jobs.number) & (words.word == word)
                yield found.join(words, on=of_word).order_by(words.number.desc()), words.number
        elif self.count < FEW_JOBS:
            numbers = words.select(words.number).where(self._range)
            yield found.where(jobs.number.in_(numbers)), jobs.number
        else:
            yield found.where(self._is_in_row()), jobs.number

    def is_had(self, number: Any) -> Any:
        """The condition that the job of a number has such a word."""
        if not self.is_few:
            return self._is_in_row()
        words = self._tables.words.alias()
        had = (words.number == number) & words.word.in_(self._spelled)
        return fn.EXISTS(words.select(words.number).where(had))

    def _is_in_row(self) -> Any:
        return self._tables.jobs.search.contains(f" {self._start}")

    def _spell(self) -> list[str]:
        """The words themselves, up to one more than few."""
        words, found = self._tables.words, list[str]()
        # With two lower bounds SQLite would begin at the wrong one.
        after = words.word >= self._start
        while len(found) <= FEW_WORDS:
            fitting = after & (words.word < self._start + _END)
            word = words.select(words.word).where(fitting).order_by(words.word).limit(1).scalar()
            if word is None:
                break
            found.append(word)
            after = words.word > word
        return found


class _Listed:
    """The jobs of a state or a kit, or all of them: their lists are in the order of arrival."""

    count = FEW_JOBS  # It is not worth the time to count them.
    is_few = True

    def __init__(self, tables: Models, *same: Any) -> None:
        self._jobs, self._same = tables.jobs, same

    def reach(self, before: int) -> int:
        """See `_Way`."""
        return _reach(self._jobs, self._same, before, SLICE)

    def narrowed(self, found: Any) -> Iterator[tuple[Any, Any]]:
        """See `_Way`; the filter itself is in it already."""
        yield found, self._jobs.number


class _Period:
    """The jobs whose last record arrived on some days."""

    is_few = False

    def __init__(self, tables: Models, asked: JobQuery) -> None:
        self._jobs = jobs = tables.jobs
        until = asked.until or FOREVER
        of_period = jobs.select(jobs.number).where(jobs.received.between(asked.since, until))
        self._few = of_period.order_by(jobs.received).limit(FEW_JOBS)
        self.count = _counted(self._few)

    def reach(self, before: int) -> int:
        """See `_Way`."""
        return _reach(self._jobs, (), before, SLICE) if self.count == FEW_JOBS else 0

    def narrowed(self, found: Any) -> Iterator[tuple[Any, Any]]:
        """See `_Way`; the filter itself is in it already."""
        number = self._jobs.number
        yield found.where(number.in_(self._few)) if self.count < FEW_JOBS else found, number


def _narrowing(tables: Models, asked: JobQuery) -> Iterator[_Way]:
    jobs = tables.jobs
    if asked.state:
        yield _Listed(tables, jobs.state == asked.state)
    if asked.kit:
        yield _Listed(tables, jobs.kit == asked.kit)
    if asked.since or asked.until:
        yield _Period(tables, asked)
    yield _Listed(tables)


def _counted(numbers: Any) -> int:
    """How many rows a query gives. It keeps its order: without, PostgreSQL reads the table itself
    from somewhere on, which is quick only where such rows lie all over it.
    """
    some = numbers.alias("some")
    return int(numbers.model.select(fn.COUNT(some.c.number)).from_(some).scalar())


def _reach(table: Any, same: Sequence[Any], before: int, count: int) -> int:
    """The last of so many numbers before one, in a table that has them in order among the rows that
    are the same; 0 where there are not that many.
    """
    number = table.number
    numbers = table.select(number).where(number < before, *same).order_by(number.desc())
    return int(numbers.offset(count - 1).limit(1).scalar() or 0)


def _filters(tables: Models, asked: JobQuery) -> Iterator[Any]:
    jobs = tables.jobs
    if asked.state:
        yield jobs.state == asked.state
    if asked.kit:
        yield jobs.kit == asked.kit
    if asked.since:
        yield jobs.received >= asked.since
    if asked.until:
        yield jobs.received < asked.until


def _made(query: Any) -> list[FoundJob]:
    return [
        FoundJob(
            row.number, row.kit, row.received, msgspec.json.decode(bytes(row.view), type=JobView)
        )
        for row in query
    ]
