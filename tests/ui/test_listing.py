"""Long lists: few rows for many entries, and none of them moves when more are added."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.stack import ROOT


def test_a_list_has_rows_for_what_is_in_sight_only_and_stays_where_it_is() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.ui.long_list"],
        cwd=ROOT,
        env=os.environ | {"SDL_VIDEODRIVER": "offscreen"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    shown = json.loads(ran.stdout)
    assert [title.split(" · ")[0] for title in shown["top"]] == [
        f"Customer {number}" for number in range(len(shown["top"]))
    ]
    assert len(shown["top"]) <= 4
    assert 0 < len(shown["middle"]) <= 4
    assert not set(shown["middle"]) & set(shown["top"])
    assert shown["more"] == shown["middle"]
    assert shown["one"] == shown["top"][:1]
