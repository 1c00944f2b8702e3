"""Debian's kernel packages, fetched by apt with lists of its own: nothing is installed here, and
the machine's sources stay as they are. What comes is signed as everything that apt installs is.
"""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

RELEASE = "6.12"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Where a 6.12 kernel comes from. Its build tools are programs: they must be of the same Debian.
SUITES = {"bookworm": "bookworm-backports", "trixie": "trixie"}


class CannotPrepare(Exception):
    """What is missing and what to do, said to a person."""

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__(f"{what}\n{next_step}")


def suite() -> str:
    """The Debian suite that has the kernel for this machine."""
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    if platform.machine() != "x86_64" or codename not in SUITES or not KEYRING.exists():
        raise CannotPrepare(
            "The bench VM is made of Debian 12's or 13's own packages for amd64; this is "
            f"{codename or 'another system'} on {platform.machine()}.",
            "Run 'make bench-vm' on such a machine, in a container or VM of it if need be.",
        )
    return SUITES[codename]


class Apt:
    """apt-get with its own sources, lists and cache below one folder.

    Args:
        folder: everything apt writes lies here.

    Raises:
        CannotPrepare: the package lists cannot be had.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("lists/partial", "archives/partial"):
            (folder / name).mkdir(parents=True)
        source = folder / "sources.list"
        source.write_text(f"deb [signed-by={KEYRING}] {_mirror()} {suite()} main\n")
        self._options = [
            f"--option=Dir::Etc::SourceList={source}",
            "--option=Dir::Etc::SourceParts=-",
            f"--option=Dir::State::Lists={folder / 'lists'}",
            f"--option=Dir::Cache={folder}",
            # The folder belongs to whoever runs this, not to apt's own user.
            "--option=APT::Sandbox::User=root",
            "--quiet=2",
        ]
        self._run("apt-get", "update", "--error-on=any")

    def version(self) -> str:
        """Name of the newest 6.12 kernel, as `uname -r` says it."""
        told = self._run("apt-cache", "depends", "linux-image-amd64")
        for word in told.split():
            name = word.removeprefix("linux-image-")
            if name != word and name.startswith(f"{RELEASE}."):
                return name
        raise CannotPrepare(
            f"{suite()} has no Linux {RELEASE} any more.",
            "Name the suite that has it in tests/bench/vm/packages.py.",
        )

    def download(self, names: list[str]) -> list[Path]:
        """Fetch packages, in the order of their names as given."""
        archives = self._folder / "archives"
        self._run("apt-get", "download", *names, cwd=archives)
        return [next(archives.glob(f"{name}_*.deb")) for name in names]

    def _run(self, program: str, *words: str, cwd: Path | None = None) -> str:
        ended = subprocess.run(
            [program, *self._options, *words], capture_output=True, text=True, check=False, cwd=cwd
        )
        if ended.returncode:
            raise CannotPrepare(
                f"Debian's kernel packages cannot be fetched: {ended.stderr.strip()}",
                "Check that apt reaches Debian's mirror (a proxy belongs in /etc/apt/apt.conf.d), "
                "then 'make bench-vm' again. A machine that has the cache needs no network.",
            )
        return ended.stdout


def _mirror() -> str:
    """The mirror that this machine uses already."""
    told = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = (line.rstrip("/") for line in told.stdout.splitlines())
    mirror = next((uri for uri in found if uri.endswith("/debian")), None)
    if mirror is None:
        raise CannotPrepare(
            "apt knows no mirror of Debian here.",
            "Put one into /etc/apt/sources.list, run 'apt-get update', then 'make bench-vm' again.",
        )
    return mirror
