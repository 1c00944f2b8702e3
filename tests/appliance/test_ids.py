"""UUIDs version 7: rising, well-formed, and not upset by a clock that is set back."""

from __future__ import annotations

import threading
import time
import uuid

import pytest

from appliance import ids


def test_ids_rise_and_are_version_7() -> None:
    made = [ids.uuid7() for _ in range(5000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    parsed = [uuid.UUID(text) for text in made]
    assert {(item.version, item.variant) for item in parsed} == {(7, uuid.RFC_4122)}
    assert [str(item) for item in parsed] == made


def test_ids_rise_while_wall_time_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ids.uuid7()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert before < ids.uuid7() < ids.uuid7()


def test_threads_never_get_the_same_id() -> None:
    made: list[str] = []
    threads = [
        threading.Thread(target=lambda: made.extend(ids.uuid7() for _ in range(1000)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 4000
