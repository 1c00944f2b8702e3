"""The kernel's list of mounts (proc_pid_mountinfo(5))."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted filesystem.

    Attributes:
        id: the mount's number; no two that exist at the same time share one.
        device: `major:minor` of the filesystem.
        folder: where it is mounted.
        source: what is mounted, `/dev/...` for a block device.
        read_only: nothing can be written through this mount.
    """

    id: int
    device: str
    folder: Path
    source: str
    read_only: bool


def read_mounts(path: Path = MOUNTINFO) -> list[Mount]:
    """All mounts, in the kernel's order: the last one of a folder lies over the earlier ones.

    Raises:
        OSError: the list cannot be read.
    """
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    return [_mount(line.split(" ")) for line in text.splitlines()]


def _mount(fields: list[str]) -> Mount:
    behind = fields.index("-")  # optional fields end here: type, source and super options follow
    options = f"{fields[5]},{fields[behind + 3]}".split(",")
    return Mount(
        id=int(fields[0]),
        device=fields[2],
        folder=Path(_unescape(fields[4])),
        source=_unescape(fields[behind + 2]),
        read_only="ro" in options,
    )


def mount_of(descriptor: int) -> int:
    """Number of the mount that an open file lies on (proc_pid_fdinfo(5)).

    Raises:
        OSError: the descriptor is not open.
    """
    text = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
    found = re.search(r"^mnt_id:\s*(\d+)$", text, re.MULTILINE)
    if found is None:
        raise OSError(0, "the kernel does not tell its mount", str(descriptor))
    return int(found[1])


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
