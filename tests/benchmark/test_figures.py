"""What the benchmark says of its figures: met, missed or not measured, and better or worse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from appliance.records import JobFilter, Records
from appliance.store import Tables
from hw import clock
from hw.executor import TESTER_PRESENT_SUPPRESSED
from hw.links import open_link
from hw.links.base import NegativeResponse
from tests.benchmark import bench_vm, compare, figures, growth
from tests.benchmark.cut import Witness, histogram
from tests.benchmark.figures import Figure, compared, figure, load, save, table, verdict
from tests.benchmark.rates import OpenGate
from tests.benchmark.rig import bench_car, percentile
from tests.kit import ROOT, TIMING

KEYS = ["name", "value", "unit", "better", "goal", "peer", "peer_value", "ratio"]


def row(name: str = "rate", value: float | None = 10.0, **changes: Any) -> Figure:
    return Figure(**{**asdict(Figure(name, value, "MB/s", "higher", 5.0)), **changes})


def test_a_row_is_the_median_beside_the_peers_median() -> None:
    found = compared("rate", [9.0, 1.0, 8.0], "MB/s", "higher", "peer", [4.0, 2.0, 100.0])
    assert asdict(found) == dict(
        zip(KEYS, ["rate", 8.0, "MB/s", "higher", 4.0, "peer", 4.0, 2.0], strict=True)
    )


def test_a_goal_is_met_missed_or_not_measured() -> None:
    assert row().met is True
    assert row(value=4.9).met is False
    assert row(better="lower").met is False
    assert figure("time", [4.0, 5.0, 6.0], "s", "lower", 5.0).met is True
    assert row(value=None).met is None
    words = verdict([row(), row("slow", 1.0), row("absent", None)])
    assert words.startswith("1 of 3 goals met, 1 missed, 1 not measured.")
    assert words.endswith("missed: slow")
    assert table([row(), row("absent", None)]).row_count == 2


def test_the_file_has_these_keys_and_comes_back(tmp_path: Path) -> None:
    rows = [row(), row("absent", None)]
    save(rows, tmp_path / "bench.json")
    assert [list(one) for one in json.loads((tmp_path / "bench.json").read_text())] == [KEYS] * 2
    assert load(tmp_path / "bench.json") == rows


@pytest.mark.parametrize(
    ("better", "later", "worse"),
    [
        ("higher", 8.9, True),
        ("higher", 9.1, False),
        ("lower", 11.1, True),
        ("lower", 10.9, False),
        ("higher", None, False),
    ],
)
def test_more_than_a_tenth_is_worse(better: Any, later: float | None, worse: bool) -> None:
    (change,) = compare.changes([row(better=better)], [row(value=later, better=better)])
    assert change.worse is worse


def test_rows_that_only_one_file_has_are_named() -> None:
    assert compare.changes([row("old")], [row("new")]) == []
    told = compare.lonely([row("old"), row()], [row("new"), row()])
    assert told == ["only in the earlier one: old", "only in the later one: new"]


def test_a_later_run_is_compared_with_an_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier, later = tmp_path / "earlier.json", tmp_path / "bench.json"
    monkeypatch.setattr(compare, "RESULT", later)
    monkeypatch.setattr(sys, "argv", ["compare", str(earlier)])
    assert compare.main() == 66, "there is no file yet"
    save([row("steady"), row("slower", 10.0), row("gone"), row("absent", None)], earlier)
    save([row("steady", 9.5), row("slower", 5.0), row("new"), row("absent", 3.0)], later)
    capsys.readouterr()
    assert compare.main() == 1
    told = capsys.readouterr().out
    assert "3 rows compared, 1 worse by more than 10%." in told
    assert told.endswith("worse: slower\n")
    assert "only in the earlier one: gone" in told
    assert "only in the later one: new" in told
    save(load(later), earlier)
    assert compare.main() == 0


def test_a_histogram_counts_every_trial() -> None:
    text = histogram("cut", [0.1, 0.6, 0.7, 2.9])
    counts = [int(line.split()[2]) for line in text.splitlines()[1:]]
    assert counts == [1, 2, 1]
    assert "2.5 ms" in text


def test_only_frames_of_long_messages_count_as_frames_of_the_write() -> None:
    """In a hold TesterPresent keeps the session and reads go on; neither is a late frame."""
    with bench_car() as (car, _), open_link(car.link("can"), OpenGate(), TIMING) as link:
        witness = Witness(car.link("can"))
        try:
            link.notify(TESTER_PRESENT_SUPPRESSED)
            link.request(bytes.fromhex("22F190"))  # Its answer takes a flow control frame.
            began = clock.now()
            link.request(bytes.fromhex("22F188F191F18C"))  # Seven bytes: still one frame.
            with pytest.raises(NegativeResponse):
                link.request(bytes.fromhex("36") + bytes(12))
            assert witness.wait_for_frames(2)
        finally:
            witness.close()
        assert [request[:2] for request in car.log()] == ["3e", "22", "22", "36"]
    assert witness.frames == 2
    assert witness.last_before(clock.now()) > began


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([float(number) for number in range(101)], 99) == 99.0
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0


# Growth -------------------------------------------------------------------------------------------


def count_of(records: Records, table: str) -> int:
    def count(tables: Tables) -> int:
        return int(getattr(tables, table).select().count())

    return records.store.run(count)


def test_a_copied_job_is_listed_and_found_as_a_real_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "COPIED_FROM", 20)
    monkeypatch.setattr(growth, "BATCH", 10)
    kit = growth._Kit(tmp_path)
    records = kit.open()
    try:
        kit.grow(records, 65)
        listed = [view.job for view in records.list_jobs(JobFilter(words="golf", limit=100))]
        assert len(set(listed)) == 65
        assert [records.find(job) for job in listed] == listed
        assert len(kit.jobs) == 25
        for job in kit.jobs:
            assert records.verify_job(job).head.length == 4
        rows = {
            table: count_of(records, table) for table in ("events", "heads", "jobs", "subjects")
        }
        assert rows == {"events": 4 * 65, "heads": 65, "jobs": 65, "subjects": 65}
    finally:
        records.store.close()


# The bench VM -------------------------------------------------------------------------------------


def test_without_the_bench_vm_its_row_says_so_and_meets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results.json"
    monkeypatch.setattr(bench_vm, "RESULTS", results)
    (absent,) = bench_vm.measure(1)
    assert (absent.value, absent.met) == (None, None)
    assert "not run: make bench-vm" in absent.name
    lines = [
        {"name": "voltage samples, bench VM", "value": 300.0, "unit": "1/s"},
        {"name": "flash over SocketCAN, bench VM", "value": 20.5, "unit": "KiB/s"},
    ]
    results.write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.utime(results, (1.0, 1.0))
    assert bench_vm.measure(1)[0].met is None, "older than the commit"
    os.utime(results)
    (measured,) = bench_vm.measure(1)
    assert (measured.value, measured.unit, measured.met) == (20.5, "KiB/s", True)


# The whole command --------------------------------------------------------------------------------


def processes_of(group: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == group and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def parts_of(parent: int) -> list[int]:
    """Children with a session of their own: a library that asks ldconfig has none for it."""
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(word) for word in text.split() if int(word) in processes_of(int(word))]


def wait_for(what: Any, limit_s: float = 60.0) -> Any:
    until = time.monotonic() + limit_s
    while not (found := what()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_killed_benchmark_leaves_no_car_behind(number: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.benchmark", "--quick", "--only", "gate"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    # Started as from a shell that ignores Ctrl-C for what is in the background.
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            (part,) = wait_for(lambda: parts_of(process.pid))
            wait_for(lambda: len(processes_of(part)) > 1)
            process.send_signal(number)
            process.wait(60)
            wait_for(lambda: not processes_of(part))
        finally:
            process.kill()
    assert not (tmp_path / figures.RESULT).exists()
