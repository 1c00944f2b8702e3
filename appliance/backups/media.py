"""The two media that backups go to: are they there, are they two, what do they really hold."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from appliance.durable import sync_folder
from appliance.errors import MediumError
from appliance.mounts import MOUNTINFO, read_mounts
from hw.config import MediaConfig

MediumName = Literal["A", "B"]
_T = TypeVar("_T")
_CHUNK = 8 << 20
_NO_DIRECT_IO = (errno.EINVAL, errno.EOPNOTSUPP)


@dataclass(frozen=True)
class Medium:
    """One of the two media."""

    name: MediumName
    root: Path

    @property
    def store(self) -> Path:
        """The folder on it that holds the backups' folders."""
        return self.root / "fieldkit-backups"

    def folder(self, backup: str) -> Path:
        """Where this medium's copy of a backup lies."""
        return self.store / backup

    def __str__(self) -> str:
        return f"Medium {self.name} ({self.root})"


def media_of(config: MediaConfig) -> tuple[Medium, Medium]:
    """The two media, whether they are there or not."""
    return Medium("A", Path(config.a)), Medium("B", Path(config.b))


def check_media(config: MediaConfig, mountinfo: Path = MOUNTINFO) -> tuple[Medium, Medium]:
    """Both media, present and not the same.

    Two partitions of one stick are two filesystems: that the media are two things that cannot be
    lost together is for whoever configures the mount points.

    Args:
        config: the mount points. Where it says `simulated`, only two different folders are asked.
        mountinfo: the kernel's list of mounts, proc_pid_mountinfo(5).

    Raises:
        MediumError: one is missing or not mounted, or both lie on one filesystem.
    """
    media = media_of(config)
    for medium in media:
        check_medium(medium, config, mountinfo)
    if _same(media, config.simulated, mountinfo):
        raise MediumError(
            "B",
            f"{media[1]} is the same filesystem as medium A ({media[0].root}): that is one copy.",
            "Insert a second medium as medium B and name its mount point in kit.toml.",
        )
    return media


def check_medium(medium: Medium, config: MediaConfig, mountinfo: Path = MOUNTINFO) -> None:
    """Whether a medium is there: a folder and, unless simulated, a mount point.

    Without the second, a stick that was pulled out would silently be the SD card below it.

    Raises:
        MediumError: it is not.
    """
    with medium_errors(medium):
        is_there = medium.root.is_dir()
    if not is_there:
        raise MediumError(
            medium.name,
            f"{medium} is not there.",
            f"Insert medium {medium.name} and wait until it is mounted.",
        )
    if not config.simulated and _mounted_device(medium.root, mountinfo) is None:
        raise MediumError(
            medium.name,
            f"{medium} is not mounted: that folder belongs to the filesystem below it.",
            f"Insert medium {medium.name} and wait until it is mounted.",
        )


def demand_space(medium: Medium, size: int) -> None:
    """See that `size` bytes fit before anything is written.

    Raises:
        MediumError: they do not.
    """
    with medium_errors(medium):
        status = os.statvfs(medium.root)
    free = status.f_bavail * status.f_frsize
    if free < size:
        raise MediumError(
            medium.name,
            f"{medium} is full: {size} bytes are needed and {free} are free.",
            f"Make room on medium {medium.name} or insert an empty one, then start again.",
        )


@contextmanager
def medium_errors(medium: Medium) -> Iterator[None]:
    """Turn what the operating system says about a medium into what a person does about it."""
    try:
        yield
    except OSError as error:
        what, next_step = _explain(medium, error)
        raise MediumError(medium.name, what, next_step) from error


@contextmanager
def store_locked(medium: Medium) -> Iterator[None]:
    """Make the backups' folder if needed and keep every other writer out of it.

    Raises:
        MediumError: the medium cannot be written, or another backup is being written right now.
    """
    with medium_errors(medium):
        if not medium.store.is_dir():
            medium.store.mkdir(exist_ok=True)
            sync_folder(medium.root)
        descriptor = os.open(medium.store, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor, medium)
        yield
    finally:
        os.close(descriptor)


def read_past_cache(path: Path) -> bytes:
    """Read a file from its medium and not from the kernel's memory of what was written.

    The page cache is dropped for that file, then it is read with O_DIRECT where the filesystem
    knows it. What this cannot promise: a drive or stick may answer from its own cache, which no
    program can empty; pages that another process has mapped stay; a network or memory filesystem
    has nothing behind the cache. It finds a write that the kernel lost or a medium that stores
    other bytes than it was given, not every worn-out stick.

    Raises:
        OSError: the medium cannot read it.
    """
    return _past_cache(path, lambda pieces: b"".join(map(bytes, pieces)))


def holds_past_cache(path: Path, data: bytes) -> bool:
    """Read a file as `read_past_cache` does: are these its bytes?

    Piece by piece: a small computer has no room for two more copies of a large file.

    Raises:
        OSError: the medium cannot read it.
    """

    def are_equal(pieces: Iterator[memoryview]) -> bool:
        done = 0
        for piece in pieces:
            if not data.startswith(piece, done):
                return False
            done += len(piece)
        return done == len(data)

    return _past_cache(path, are_equal)


def _past_cache(path: Path, take: Callable[[Iterator[memoryview]], _T]) -> _T:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    try:
        return take(_pieces(path, os.O_DIRECT))
    except OSError as error:
        if error.errno not in _NO_DIRECT_IO:
            raise
    return take(_pieces(path, 0))


def _pieces(path: Path, flags: int) -> Iterator[memoryview]:
    """The bytes of a file; each piece lies where the one before it lay."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        size = os.fstat(descriptor).st_size
        # O_DIRECT wants whole pages of memory, and a map is whole pages.
        with mmap.mmap(-1, _CHUNK) as aligned, memoryview(aligned) as room:
            done = 0
            while done < size:
                count = os.readv(descriptor, [room])
                if count == 0:
                    raise OSError(errno.EIO, "the file ends early", str(path))
                done += count
                with room[:count] as piece:
                    yield piece
    finally:
        os.close(descriptor)


def _lock(descriptor: int, medium: Medium) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise MediumError(
            medium.name,
            f"Another backup is being written to {medium} right now.",
            "Wait until it is finished, then start again.",
        ) from error


def _same(media: tuple[Medium, Medium], simulated: bool, mountinfo: Path) -> bool:
    first, second = (medium.root.resolve() for medium in media)
    if first == second:
        return True
    if simulated:
        return False
    # st_dev alone is not enough: subvolumes of one btrfs have a device number each. The kernel's
    # list of mounts gives the filesystem's own, and sees through bind mounts.
    one_device = first.stat().st_dev == second.stat().st_dev
    return one_device or _mounted_device(first, mountinfo) == _mounted_device(second, mountinfo)


def _mounted_device(root: Path, mountinfo: Path) -> str | None:
    """`major:minor` of the filesystem mounted exactly there, None where nothing is."""
    folder = root.resolve()
    found = [mount.device for mount in read_mounts(mountinfo) if mount.folder == folder]
    return found[-1] if found else None  # the last one lies over the earlier ones


def _explain(medium: Medium, error: OSError) -> tuple[str, str]:
    name = medium.name
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"{medium} is full.",
            f"Make room on medium {name} or insert an empty one, then start again.",
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return (
            f"{medium} cannot be written: {error.strerror}.",
            f"Release the write protection of medium {name} or insert another one.",
        )
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return (
            f"{medium} went away, or a folder on it did: {error.strerror}.",
            f"Insert medium {name} again and start again.",
        )
    return (
        f"{medium} failed: {error.strerror}.",
        f"Replace medium {name}; what it holds can be repaired from the other one.",
    )
