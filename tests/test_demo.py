"""`make demo`: every claim that it makes is seen to hold, in plain lines where nobody watches."""

from __future__ import annotations

import os
import subprocess
import sys

CLAIMS = (
    "identity",
    "dual backup",
    "dry run",
    "gates",
    "permit",
    "sag",
    "outcome",
    "memory",
    "record",
    "report",
    "ssh-keygen",
    "age",
)
LIMIT_S = 100


def test_the_demo_ends_with_every_claim_held() -> None:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"FIELDKIT_STATE", "FIELDKIT_RUN"}
    }
    ended = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "demo", "--headless", "--seed", "3"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=LIMIT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "Every claim held." in ended.stdout
    for claim in CLAIMS:
        assert f"ok  {claim}:" in ended.stdout, claim
    assert "\x1b" not in ended.stdout
    assert "outcome verified" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr
