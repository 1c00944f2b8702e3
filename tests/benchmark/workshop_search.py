"""Finding jobs at the office among a million.

The rows are made by the database itself, by the rules of `appliance.workshop.search`: each job has
the words of a customer (one of 5,000), a car (one of 40), a VIN, a plate and a complaint. What is
asked is what an office asks: a VIN, its end or beginning, a name, a name with a car, a word that
nearly every job has, one letter, a state, and what nobody has; and, as the worst that can be asked,
words or filters that many jobs have and none has together.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from appliance.records import Customer, JobView, Vehicle
from appliance.workshop.search import JobQuery, search_jobs
from appliance.workshop.tables import HubDatabase, Models
from tests.appliance.workshop.conftest import postgres
from tests.benchmark.figures import BUILD, Figure, figure
from tests.benchmark.rig import percentile

GOAL_MS = 100.0
ASKED = 400
NAMES, CARS = 5_000, 40
_VIEW = JobView(
    job="@job",
    customer=Customer("name@name", "", ""),
    vehicle=Vehicle("car@car", "WVWZZZ1JZXW@vin", "FK @n"),
    complaint="stalls when hot",
    technician="anna",
    made="2026-01-01T00:00:00Z",
    length=1,
    head="0" * 64,
    state="verified",
)


def _rest(divisor: int) -> str:
    """The rest of a division; '%' would be a placeholder."""
    return f"(n - n / {divisor} * {divisor})"


_STATES = f"CASE {_rest(10)} WHEN 0 THEN 'refused' WHEN 1 THEN 'draft' ELSE 'verified' END"


_PADDED = "substr('0000000' || n, length('0000000' || n) - 6, 7)"


def on_sqlite(jobs: int) -> list[Figure]:
    """So many jobs in an SQLite file."""
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="search", dir=BUILD) as name:
        numbers = (
            "(WITH RECURSIVE s(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM s WHERE n < "  # noqa: S608 - a number
            f"{jobs}) SELECT n FROM s) AS numbers"
        )
        return _measure(f"{name}/hub.db", "SQLite", numbers, "CAST({} AS BLOB)", "ANALYZE", jobs)


def on_postgresql(jobs: int) -> list[Figure]:
    """So many jobs in a PostgreSQL with its usual settings."""
    with tempfile.TemporaryDirectory(prefix="fkpg", dir="/tmp") as name, _opened(name) as url:
        numbers = f"generate_series(1, {jobs}) AS numbers(n)"
        return _measure(
            url, "PostgreSQL", numbers, "convert_to({}, 'UTF8')", "VACUUM ANALYZE", jobs
        )


@contextmanager
def _opened(folder: str) -> Iterator[str]:
    Path(folder).chmod(0o755)
    with postgres(Path(folder)) as url:
        yield url


def _measure(
    where: str, kind: str, numbers: str, as_bytes: str, tidy: str, jobs: int
) -> list[Figure]:
    database = HubDatabase(where)
    try:
        _fill(database, numbers, as_bytes)
        _tidy(database, tidy)
        took = [_seconds(database, query) for query in _queries(jobs)]
        worst = [_seconds(database, query) for query in _never_together()]
    finally:
        database.close()
    called = f"job search among {jobs:,} on {kind}, p95"
    return [
        figure(called, [percentile(took, 95) * 1e3], "ms", "lower", GOAL_MS),
        figure(
            f"{called}, what many jobs have and none together",
            [percentile(worst, 95) * 1e3],
            "ms",
            "lower",
            GOAL_MS,
        ),
    ]


def _seconds(database: HubDatabase, query: tuple[JobQuery, Callable[[int], bool]]) -> float:
    asked, is_right = query
    began = time.perf_counter()
    found = len(search_jobs(database, asked).jobs)
    seconds = time.perf_counter() - began
    if not is_right(found):
        raise RuntimeError(f"{asked} found {found} jobs")
    return seconds


def _queries(jobs: int) -> Iterator[tuple[JobQuery, Callable[[int], bool]]]:
    draw = random.Random(7)
    some, one = (lambda found: found > 0), (lambda found: found == 1)
    for _ in range(ASKED // 8):
        n = draw.randint(1, jobs)
        name = f"name{n % NAMES}"
        yield JobQuery(words=f"wvwzzz1jzxw{n:07}"), one
        yield JobQuery(words=f"wvwzzz1jzxw{n:07}"[:-2]), some
        yield JobQuery(words=name), some
        yield JobQuery(words=f"{name} car{n % CARS}"), some
        yield JobQuery(words="stalls hot"), some
        yield JobQuery(words=draw.choice("ncfws")), some
        yield JobQuery(state="refused"), some
        yield JobQuery(words=f"nobody{n}"), lambda found: found == 0


def _never_together() -> Iterator[tuple[JobQuery, Callable[[int], bool]]]:
    for n in range(ASKED // 8):
        third, none = n % 3, (lambda found: found == 0)
        yield JobQuery(words=f"third{third} third{(third + 1) % 3}"), none
        yield JobQuery(words="stalls hot", kit=f"kit{1 + n % 9}", state="refused"), none


def _fill(database: HubDatabase, numbers: str, as_bytes: str) -> None:
    """Jobs first, then their words in the order of the words."""
    template = msgspec.json.encode(_VIEW).decode().replace("'", "''")
    parts = {
        "@job": "'job' || n",
        "@name": f"'' || {_rest(NAMES)}",
        "@car": f"'' || {_rest(CARS)}",
        "@vin": _PADDED,
        "@n": "'' || n",
    }
    view = f"'{template}'"
    for mark, value in parts.items():
        view = f"replace({view}, '{mark}', {value})"
    words = [
        f"'name' || {_rest(NAMES)}",
        f"'car' || {_rest(CARS)}",
        f"'wvwzzz1jzxw' || {_PADDED}",
        "'fk'",
        "'' || n",
        f"'third' || {_rest(3)}",
        "'stalls'",
        "'when'",
        "'hot'",
        "'job' || n",
    ]
    search = " || ' ' || ".join(words)

    def fill(tables: Models) -> None:
        run = tables.jobs._meta.database.execute_sql
        run(
            # All that stands in this statement and the next is from this file.
            "INSERT INTO job (number, job, kit, state, vin, made, search, received, view) "  # noqa: S608
            f"SELECT n, 'job' || n, 'kit' || {_rest(50)}, {_STATES}, 'WVWZZZ1JZXW' || {_PADDED}, "
            f"'2026-01-01T00:00:00Z', ' ' || {search}, n, {as_bytes.format(view)} FROM {numbers}"
        )
        for word in words:
            # As above.
            run(f"INSERT INTO word (word, number) SELECT {word}, n FROM {numbers} ORDER BY 1, 2")  # noqa: S608

    database.write(fill)


def _tidy(database: HubDatabase, statement: str) -> None:
    """A million jobs come over years, in which PostgreSQL tidies up by itself again and again."""
    connected = database.tables.jobs._meta.database
    with connected.connection_context():
        connected.execute_sql(statement)
