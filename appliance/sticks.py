"""USB sticks: which are there, what lies on them, and writing onto one.

A stick comes from outside and may hold anything. Every path is walked from the stick's own folder,
one name at a time and never through a link, and each step must still lie on the stick's own mount:
no path leads off the stick, however it was made, and a stick that is pulled out in between is gone
and not the SD card below it.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from appliance.backups.media import holds_past_cache
from appliance.durable import create_durably, sync_folder
from appliance.errors import StickError
from appliance.mounts import MOUNTINFO, Mount, mount_of, read_mounts
from hw.config import KitConfig
from hw.errors import UsageError

MAX_ENTRIES = 2000
_RESERVE = 64 * 1024
"""Bytes that folders and names take besides the content."""
_SIMULATED = -1
_CHOOSE = "Choose a file or folder from the list of what lies on the stick."


class NotOnStick(UsageError):
    """A path that is not a place on a stick, or that leads off it."""

    code = "not_on_stick"


@dataclass(frozen=True)
class Stick:
    """A stick that is there. `mount`: number of its mount, -1 for a folder that stands for one."""

    folder: Path
    mount: int
    read_only: bool
    free_bytes: int
    size_bytes: int

    @property
    def name(self) -> str:
        """What a person calls it: the label that it was mounted under."""
        return self.folder.name

    @property
    def simulated(self) -> bool:
        """Is it only a folder that stands for a stick?"""
        return self.mount == _SIMULATED


@dataclass(frozen=True)
class Entry:
    """One name in a folder of a stick. `modified` is empty for a time that no calendar has."""

    name: str
    folder: bool
    size: int
    modified: str


@dataclass(frozen=True)
class Listing:
    """What lies in a folder: folders first, then files; `left_out` counts what is not shown."""

    entries: list[Entry]
    left_out: int


def find_sticks(config: KitConfig, mountinfo: Path = MOUNTINFO) -> list[Stick]:
    """All sticks below the configured roots, by folder, without the two backup media.

    Raises:
        StickError: the kernel does not tell what is mounted.
    """
    roots = [Path(root).resolve() for root in config.sticks.roots]
    media = [Path(folder).resolve() for folder in (config.media.a, config.media.b)]
    if config.sticks.simulated:
        found = [(folder, _SIMULATED, False) for root in roots for folder in _folders(root)]
    else:
        try:
            mounts = read_mounts(mountinfo)
        except OSError as error:
            raise StickError(
                f"The kernel does not tell what is mounted: {error.strerror}.", "Restart the kit."
            ) from error
        found = [(one.folder, one.id, one.read_only) for one in _outside(mounts, roots, media)]
    sticks = [
        _measured(folder, mount, read_only=read_only)
        for folder, mount, read_only in sorted(found)
        if folder not in media
    ]
    return [stick for stick in sticks if stick is not None]


def _folders(root: Path) -> Iterator[Path]:
    """Folders that stand for sticks; none where the root is not there."""
    with suppress(FileNotFoundError), os.scandir(root) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                yield root / entry.name


def _outside(mounts: Sequence[Mount], roots: list[Path], media: list[Path]) -> list[Mount]:
    """Block devices mounted below a root that are not the device of a backup medium."""
    top = {mount.folder: mount for mount in mounts}  # The last one lies over the earlier ones.
    kept_for_backups = {top[folder].device for folder in media if folder in top}
    return [
        mount
        for folder, mount in top.items()
        if mount.source.startswith("/dev/")
        and mount.device not in kept_for_backups
        and any(root in folder.parents for root in roots)
    ]


def _measured(folder: Path, mount: int, *, read_only: bool) -> Stick | None:
    try:
        space = os.statvfs(folder)
    except OSError:
        return None  # Pulled out a moment ago, or no longer answering: it is not there.
    return Stick(
        folder=folder,
        mount=mount,
        read_only=read_only or bool(space.f_flag & os.ST_RDONLY),
        free_bytes=space.f_bavail * space.f_frsize,
        size_bytes=space.f_blocks * space.f_frsize,
    )


# Places -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A place on a stick: the names that lead to it from the stick's own folder."""

    stick: Stick
    names: tuple[str, ...]

    @property
    def path(self) -> Path:
        """How it is named outside."""
        return self.stick.folder.joinpath(*self.names)

    @property
    def name(self) -> str:
        """Its own name."""
        return self.path.name

    def beside(self, name: str) -> Place:
        """Another name in the same folder."""
        return Place(self.stick, (*self.names[:-1], name))


def place_of(sticks: Sequence[Stick], path: str) -> Place:
    """The place on a stick that a path names, whether something is there or not.

    Raises:
        NotOnStick: it lies on none of them, or is not written plainly from the root.
    """
    pure = PurePosixPath(path)
    if not pure.is_absolute() or ".." in pure.parts or "\x00" in path:
        raise NotOnStick(f"{path!r} is not a plain path on a stick.", _CHOOSE)
    within = [stick for stick in sticks if pure.is_relative_to(stick.folder)]
    if not within:
        raise NotOnStick(
            f"{path!r} lies on no stick that is plugged in.",
            "Plug the stick in, wait until it is shown, and choose again.",
        )
    stick = max(within, key=lambda one: len(one.folder.parts))
    return Place(stick, pure.relative_to(stick.folder).parts)


def stick_at(sticks: Sequence[Stick], folder: str) -> Stick:
    """The stick with this folder.

    Raises:
        StickError: it is not plugged in.
    """
    stick = next((one for one in sticks if str(one.folder) == folder), None)
    if stick is None:
        raise StickError(
            f"The stick {folder!r} is not plugged in.", "Plug it in, or choose another one."
        )
    return stick


@contextmanager
def _at(place: Place) -> Iterator[int]:
    """A descriptor of what lies at a place, only good for looking at it and opening it again."""
    descriptor = os.open(
        place.stick.folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    )
    try:
        mount = mount_of(descriptor)
        if place.stick.mount not in (_SIMULATED, mount):
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        for name in place.names:
            below = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
            if stat.S_ISLNK(os.fstat(descriptor).st_mode):
                raise NotOnStick(
                    f"{place.path} leads over a link ({name!r}), and no link on a stick is "
                    "followed: it could lead anywhere.",
                    _CHOOSE,
                )
            if mount_of(descriptor) != mount:
                raise NotOnStick(
                    f"{place.path} leads off the stick: something else is mounted at {name!r}.",
                    _CHOOSE,
                )
        yield descriptor
    finally:
        os.close(descriptor)


def _again(descriptor: int) -> Path:
    """A path that opens what the descriptor holds, wherever its name leads by now."""
    return Path(f"/proc/self/fd/{descriptor}")


@contextmanager
def _told(stick: Stick, place: Path) -> Iterator[None]:
    """Turn what the operating system says about a stick into what a person does about it."""
    try:
        yield
    except OSError as error:
        what, next_step = _explain(stick, place, error)
        raise StickError(what, next_step) from error


def _explain(stick: Stick, place: Path, error: OSError) -> tuple[str, str]:
    name = f"The stick {stick.name!r}"
    again = "Plug it in again and wait until it is shown."
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"{name} is full.", "Make room on it or take another one."
        case errno.EROFS:
            return (
                f"{name} is read-only.",
                "Release its write protection, have a computer repair it, or take another one.",
            )
        case errno.EACCES | errno.EPERM:
            return (
                f"{place} is not open to the kit: {error.strerror}.",
                "Take a stick with FAT or exFAT, or give everybody access to that file.",
            )
        case errno.ENOENT | errno.ENOTDIR:
            if stick.folder.is_dir():
                return f"{place} is not there.", _CHOOSE
            return f"{name} is not there any more.", again
        case errno.ENODEV | errno.ENXIO | errno.EIO | errno.ESTALE | errno.ENOTCONN:
            return f"{name} does not answer any more: {error.strerror}.", again
    return f"{name} failed: {error.strerror or error}.", "Take another one."


# Reading ------------------------------------------------------------------------------------------


def list_folder(place: Place) -> Listing:
    """What lies in a folder. Hidden names are passed over; links and devices are left out.

    Raises:
        NotOnStick: the path leads off the stick, or is no folder.
        StickError: the stick is gone or does not answer.
    """
    entries: list[Entry] = []
    left_out = 0
    with _told(place.stick, place.path), _at(place) as here:
        if not stat.S_ISDIR(os.fstat(here).st_mode):
            raise NotOnStick(f"{place.path} is no folder.", _CHOOSE)
        with os.scandir(_again(here)) as found:
            for item in found:
                if item.name.startswith("."):
                    continue
                entry = _entry(item)
                if entry is None:
                    left_out += 1
                else:
                    entries.append(entry)
    entries.sort(key=lambda one: (not one.folder, one.name.casefold(), one.name))
    return Listing(entries[:MAX_ENTRIES], left_out + max(len(entries) - MAX_ENTRIES, 0))


def _entry(item: os.DirEntry[str]) -> Entry | None:
    """A folder or file with a name that can be shown and asked for again, else None."""
    try:
        item.name.encode("utf-8")
    except UnicodeEncodeError:
        return None
    about = item.stat(follow_symlinks=False)
    is_folder = stat.S_ISDIR(about.st_mode)
    if not is_folder and not stat.S_ISREG(about.st_mode):
        return None
    return Entry(
        name=item.name,
        folder=is_folder,
        size=0 if is_folder else about.st_size,
        modified=_shown_time(about.st_mtime),
    )


def _shown_time(seconds: float) -> str:
    try:
        at = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return ""
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def has_file(place: Place) -> bool:
    """Is there a regular file?

    Raises:
        NotOnStick: the path leads off the stick.
        StickError: the stick is gone or does not answer.
    """
    try:
        with _at(place) as here:
            return stat.S_ISREG(os.fstat(here).st_mode)
    except FileNotFoundError:
        return False
    except OSError as error:
        what, next_step = _explain(place.stick, place.path, error)
        raise StickError(what, next_step) from error


def read_file(place: Place, limit: int) -> bytes:
    """A file on a stick, its first `limit` bytes at most.

    Raises:
        NotOnStick: the path leads off the stick, or is no file.
        StickError: the stick is gone or does not answer.
    """
    with _told(place.stick, place.path), _at(place) as here:
        if not stat.S_ISREG(os.fstat(here).st_mode):
            raise NotOnStick(f"{place.path} is no file.", _CHOOSE)
        with _again(here).open("rb") as file:
            return file.read(limit)


# Writing ------------------------------------------------------------------------------------------


def put_folder(stick: Stick, name: str, files: Mapping[str, bytes]) -> str:
    """Write files into a new folder of a stick, all of them or none, and read them again.

    They are written and synced under a hidden name, which only then becomes the folder's own.

    Args:
        stick: where.
        name: the folder's name; with `-2` and so on behind it where there is such a folder already.
        files: content by relative path.

    Returns:
        The name that the folder got.

    Raises:
        StickError: the stick is full, read-only, gone or gives back other bytes; no folder was
            made, but a hidden one (`.NAME….part`) may be left where the stick was pulled out.
    """
    return _put(stick, name, sum(map(len, files.values())), lambda at: _write_all(stick, at, files))


def put_file(stick: Stick, name: str, content: bytes) -> str:
    """Write a new file onto a stick, whole or not at all, and read it again (see `put_folder`).

    Args:
        stick: where.
        name: the file's; with `-2` and so on before its suffix where there is such a file already.
        content: all of it.

    Returns:
        The name that the file got.

    Raises:
        StickError: as `put_folder`.
    """
    return _put(stick, name, len(content), lambda at: _write_one(stick, at, name, content))


def _put(stick: Stick, name: str, size: int, write: Callable[[Path], None]) -> str:
    if stick.read_only:
        raise StickError(
            f"The stick {stick.name!r} is read-only.",
            "Release its write protection or take another one.",
        )
    with _told(stick, stick.folder), _at(Place(stick, ())) as root:
        base = _again(root)
        _demand_space(stick, base, size)
        part = base / f".{name}.{secrets.token_hex(4)}.part"
        try:
            write(part)
            final = _free_name(base, name)
            part.rename(base / final)
        except BaseException:
            # What went wrong is told; that the rest cannot be removed from a stick that is gone or
            # read-only by now adds nothing to it.
            with suppress(OSError):
                _remove(part)
            raise
        sync_folder(base)
    return final


def _demand_space(stick: Stick, base: Path, size: int) -> None:
    space = os.statvfs(base)
    free = space.f_bavail * space.f_frsize
    if free < size + _RESERVE:
        raise StickError(
            f"The stick {stick.name!r} is full: {size + _RESERVE} bytes are needed and {free} are "
            "free.",
            "Make room on it or take another one.",
        )


def _write_all(stick: Stick, part: Path, files: Mapping[str, bytes]) -> None:
    part.mkdir()
    folders = {part}
    for name, content in files.items():
        target = part / name
        target.parent.mkdir(parents=True, exist_ok=True)
        folders |= {parent for parent in target.parents if part in (parent, *parent.parents)}
        create_durably(target, content, mode=None)
    for folder in sorted(folders, key=lambda one: len(one.parts), reverse=True):
        sync_folder(folder)
    for name, content in files.items():
        _compare(stick, part / name, name, content)


def _write_one(stick: Stick, part: Path, name: str, content: bytes) -> None:
    create_durably(part, content, mode=None)
    _compare(stick, part, name, content)


def _compare(stick: Stick, path: Path, name: str, content: bytes) -> None:
    if not holds_past_cache(path, content):
        raise StickError(
            f"The stick {stick.name!r} gave back other bytes than it was given ({name}).",
            "Take another stick, and throw this one away.",
        )


def _free_name(base: Path, name: str) -> str:
    suffix = PurePosixPath(name).suffix
    number, free = 1, name
    while os.path.lexists(base / free):
        number += 1
        free = f"{name.removesuffix(suffix)}-{number}{suffix}"
    return free


def _remove(written: Path) -> None:
    if not written.is_dir():
        written.unlink()
        return
    for path in sorted(written.rglob("*"), key=lambda one: len(one.parts), reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
    written.rmdir()
