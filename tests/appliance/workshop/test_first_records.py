"""Many kits at once, right after the hub was started: the first events are read side by side."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit import ROOT

STARTS = 8
"""Without the look at every type about one start in three ends with a crash."""
PROGRAM = """
import sys, threading
from pathlib import Path
from appliance.records.chain import read_event
from appliance.workshop.keys import init_workshop
from appliance.workshop.program import make_app, open_hub

folder = Path(sys.argv[1])
init_workshop(folder, ["127.0.0.1"], lambda identity: identity)
make_app(*open_hub(folder, "", ""))
document = b'{"at":{"boot_id":"b","boottime":1,"wall":"","wall_quality":"synchronised"},' \\
    b'"body":{"author":"anna","text":"x"},"format":"fieldkit-event/1","job":"j","kind":"note",' \\
    b'"prev_hash":"' + b"0" * 64 + b'","seq":1}'
start, read = threading.Barrier(12), []

def one():
    start.wait()
    read.append(read_event("j", 1, document, b"").body.text)

sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=one) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert read == ["x"] * 12, read
"""


@pytest.mark.timeout(300)
def test_the_first_records_of_many_kits_are_read_side_by_side(tmp_path: Path) -> None:
    for number in range(STARTS):
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path / f"workshop-{number}")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert ended.returncode == 0, (ended.returncode, ended.stderr)
