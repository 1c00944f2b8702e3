"""`python -m tests.campaign.kills`: SIGKILL `fieldkit-hw` at random moments, then recover.

Judged from the simulated car's own memory and log. Prints one line a run and fails if one of them
does not end with the planned memory.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from hw.messages import BackupCopies
from hw.plan import WritePlan
from tests.kit import Car, Kit, Watcher, canonical

SIZE = 0x4000
LONGEST_S = 0.7


def one_run(folder: Path, rng: random.Random) -> tuple[str, bool]:
    """Flash, kill hw after a random time, recover until nothing is unfinished."""
    car = Car(folder / "car", "--program-us-per-kib", "20000")
    kit = Kit(folder / "kit", car.info["sensor"])
    try:
        payload = rng.randbytes(SIZE)
        plan = kit.plan(car.link(rng.choice(("can", "doip"))), payload)
        backup = kit.backup()
        delay_s = rng.uniform(0.0, LONGEST_S)
        kit.start()
        with kit.client() as watcher:
            watcher.flash(kit, plan, payload, kit.evidence(plan, backup))
            time.sleep(delay_s)
            kit.stop(signal.SIGKILL)
        received = len(car.log())
        kit.start()
        with kit.client() as watcher:
            before = watcher.client.journal()[0]
            tries = 0
            while watcher.client.journal()[0].state not in {"verified", "recovered"}:
                tries += 1
                if tries > 5:
                    break
                _recover(kit, watcher, plan, payload, backup)
            after = sorted(run.state for run in watcher.client.journal())
        right = car.memory(0x8000, SIZE) == payload and car.do("state", ecu="engine")["app_valid"]
        told = f"step {before.step}, {before.done_bytes} bytes" if before.step else "before step 1"
        line = (
            f"killed after {delay_s:.2f} s ({received} requests, {told}): {before.state}"
            f" -> {', '.join(after)}, memory {'as planned' if right else 'WRONG'}"
        )
        return line, right
    finally:
        kit.stop(signal.SIGKILL)
        car.close()


def _recover(
    kit: Kit, watcher: Watcher, plan: WritePlan, payload: bytes, backup: BackupCopies
) -> None:
    recovery = kit.recovery(plan)
    evidence = kit.evidence(recovery, backup)
    report = watcher.client.arm(canonical(recovery), payload, evidence, dry=False)
    if not report.permit:
        time.sleep(0.5)  # The ECU may still be starting.
        return
    watcher.events.clear()
    watcher.client.start(report.permit)
    watcher.outcome(120)


def main() -> int:
    """Run and print; returns 0 if every memory is as planned."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    options = parser.parse_args()
    rng = random.Random(options.seed)
    sys.stdout.write(f"seed {options.seed}\n")
    wrong = 0
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory(prefix="fkk") as folder:
            line, right = one_run(Path(folder), rng)
        wrong += not right
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
