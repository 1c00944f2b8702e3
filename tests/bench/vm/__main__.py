"""`make bench-vm`: boot the bench VM and run tests/bench in it.

Everything that the tests print comes out here; `build/bench-vm` keeps the log and what they left
(`results.json`, one line of JSON for each measured number).
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.vm.packages import CannotPrepare
from tests.bench.vm.prepare import prepared

ROOT = Path(__file__).resolve().parents[3]
SHARE = ROOT / "build" / "bench-vm"
LIMIT_S = 285
"""The VM is ended after this time, whatever it does: CI has five minutes for it."""
UNAVAILABLE = 69


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; returns pytest's exit status, or 69 where there can be no VM."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.vm", description=__doc__)
    parser.add_argument("--limit", type=int, default=LIMIT_S, metavar="SECONDS")
    parser.add_argument("pytest", nargs="*", help="words for pytest in the VM, behind '--'")
    options = parser.parse_args(arguments)
    try:
        folder = prepared()
    except CannotPrepare as error:
        print(error, file=sys.stderr)
        return UNAVAILABLE
    shutil.rmtree(SHARE, ignore_errors=True)
    SHARE.mkdir(parents=True)
    if (failed := _compile()) != 0:
        return failed
    (SHARE / "start").write_text(_start_script(folder, options.pytest))
    try:
        subprocess.run(_qemu(folder), check=True, timeout=options.limit, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        print(f"The bench VM was ended after {options.limit} s.", file=sys.stderr)
        return 1
    status = SHARE / "status"
    if not status.exists():
        print("The bench VM ended before its tests did; see the lines above.", file=sys.stderr)
        return 1
    return int(status.read_text())


def _compile() -> int:
    """Collect the tests here: the VM then finds compiled what it imports."""
    words = ["--collect-only", "-qq", "-p", "no:cacheprovider"]
    environment = {name: v for name, v in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["FIELDKIT_BENCH"] = str(SHARE)
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/bench", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode:
        print(told.stdout + told.stderr, file=sys.stderr)
    return told.returncode


def _start_script(folder: Path, words: Sequence[str]) -> str:
    """What the VM runs once it has a root folder. A script, because paths may hold spaces."""
    return f"""\
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
export FIELDKIT_BENCH=/run/bench FIELDKIT_BENCH_MODULES={shlex.quote(str(folder / "lib/modules"))}
export PYTHONDONTWRITEBYTECODE=1
cd {shlex.quote(str(ROOT))}
sh tests/bench/vm/guest {shlex.join(words)}
echo $? >/run/bench/status
sync
echo o >/proc/sysrq-trigger
sleep 60
"""


def _qemu(folder: Path) -> list[str]:
    # One processor: with two the emulated sja1000 overruns its receive FIFO. Its clock counts
    # instructions, one a nanosecond: nothing in the VM is late because this machine is busy.
    # Nehalem has what wheels may use (x86-64-v2); newer vectors are slow to emulate.
    machine = "-accel tcg,thread=single -icount shift=0 -cpu Nehalem -smp 1 -m 2048"
    machine += " -nodefaults -no-reboot"
    shown = "-display none -serial stdio"
    can = "-object can-bus,id=bus -device kvaser_pci,canbus=bus -device kvaser_pci,canbus=bus"
    return [
        "qemu-system-x86_64",
        *machine.split(),
        *shown.split(),
        *can.split(),
        *_share("host", Path("/"), ",readonly=on"),
        *_share("share", SHARE, ""),
        *("-kernel", str(folder / "vmlinuz"), "-initrd", str(folder / "initramfs")),
        *("-append", "console=ttyS0 quiet panic=-1 mitigations=off audit=0"),
    ]


def _share(tag: str, path: Path, more: str) -> list[str]:
    escaped = str(path).replace(",", ",,")
    options = f"local,id={tag},path={escaped},security_model=none,multidevs=remap{more}"
    return ["-fsdev", options, "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]


sys.exit(main())
