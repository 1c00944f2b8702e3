"""Filesystems and processes of one run, in namespaces of their own.

Every run sees the same paths: a mount namespace gives each its own filesystems there, and a PID
namespace takes every process of it down when it ends, however that happens. Filesystems are real,
so that a pulled medium, a full disk and a power cut are what the kernel makes of them.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.campaign.template import Places

_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWPID = 0x0002_0000, 0x1000_0000, 0x2000_0000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x1, 0x20, 0x1000, 0x4000, 0x4_0000
_MNT_DETACH = 2
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9
_STATE_BYTES, _MEDIUM_BYTES = 48 << 20, 16 << 20
_BALLAST = "ballast"
_libc = ctypes.CDLL(None, use_errno=True)


def run_isolated(action: Callable[[], None]) -> int:
    """Fork, and run `action` as the first process of new namespaces; returns the child to wait for.

    Without root the namespaces are a user's own, which is enough for all but a power cut.
    """
    if child := os.fork():
        return child
    status = 1
    with _last_act():
        die_with_parent()
        user, group = os.geteuid(), os.getegid()
        flags = _CLONE_NEWNS | _CLONE_NEWPID | (_CLONE_NEWUSER if user else 0)
        _call(_libc.unshare(flags))
        if user:
            _map_root(user, group)
        first = os.fork()
        if not first:
            die_with_parent()
            _call(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))
            with _last_act():
                action()
                os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    os._exit(status)


@contextmanager
def _last_act() -> Iterator[None]:
    """In a forked child: whatever happens, the code behind the fork is not run twice."""
    try:
        yield
    except BaseException:  # noqa: BLE001 - the fork ends here, and its reason must be read
        traceback.print_exc()
        os._exit(1)


def die_with_parent() -> None:
    """End this process when its parent ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL)


def _map_root(user: int, group: int) -> None:
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def _call(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _mount(source: Path | str, target: Path, kind: str, flags: int = 0, options: str = "") -> None:
    _call(_libc.mount(str(source).encode(), bytes(target), kind.encode(), flags, options.encode()))


def _unmount(target: Path) -> None:
    """Detach at once; who has files open there keeps a filesystem that nobody else sees."""
    _call(_libc.umount2(bytes(target), _MNT_DETACH))


def make_image(places: Places, name: str, size: int, content: Path | None) -> None:
    """An ext4 image for runs in which the power is cut."""
    path = places.root / f"{name}.img"
    with path.open("wb") as image:
        image.truncate(size)
    words = ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-J", "size=4", str(path)]
    if content is not None:
        words[1:1] = ["-d", str(content)]
    places_of_tools = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    environment = {**os.environ, "PATH": places_of_tools}
    subprocess.run(words, check=True, capture_output=True, env=environment)


def make_images(places: Places) -> None:
    """The images that `Filesystems` copies."""
    make_image(places, "state", _STATE_BYTES, places.template)
    for medium in places.media:
        make_image(places, medium.name, _MEDIUM_BYTES, None)


class Filesystems:
    """The filesystems of a kit: its state, its two media, and what a run leaves.

    A filesystem is mounted out of sight and bound to its place, so that a medium that is pulled
    and put back still holds what it held.

    Args:
        places: the mount points.
        with_power_cut: ext4 on loop devices, whose images hold only what was really written.
    """

    def __init__(self, places: Places, *, with_power_cut: bool) -> None:
        self._places = places
        self._cuttable = with_power_cut
        self._hidden = places.root / "hidden"
        self._spots = {"state": places.state, "a": places.media[0], "b": places.media[1]}
        self._bound: set[str] = set()
        self._power_cuts = 0
        self._hidden.mkdir(exist_ok=True)
        for folder in (self._hidden, places.run, places.car):
            _mount("none", folder, "tmpfs", 0, "size=256m")
        for name in self._spots:
            (self._hidden / name).mkdir()
            if with_power_cut:
                shutil.copyfile(places.root / f"{name}.img", self._image(name))
                self._mount_image(name)
            else:
                size = _STATE_BYTES if name == "state" else _MEDIUM_BYTES
                _mount("none", self._hidden / name, "tmpfs", 0, f"size={size}")
            self._bind(name)
        if not with_power_cut:
            shutil.copytree(places.template, places.state, dirs_exist_ok=True)

    def pull(self, name: str) -> None:
        """Take a medium out."""
        if name in self._bound:
            _unmount(self._spots[name])
            self._bound.remove(name)

    def read_only(self, name: str) -> None:
        """Let a medium refuse writes."""
        if name in self._bound:
            _mount("none", self._spots[name], "none", _MS_REMOUNT | _MS_BIND | _MS_RDONLY)

    def fill(self, name: str) -> None:
        """Leave no free byte on a filesystem."""
        with (self._hidden / name / _BALLAST).open("ab", buffering=0) as ballast:
            for size in (1 << 20, 1 << 16, 1 << 12):
                with suppress(OSError):
                    while ballast.write(bytes(size)) == size:
                        pass

    def flip(self, name: str, draw: Callable[[int], int], bits: int) -> None:
        """Flip bits in one file of the backups on a medium; none there: nothing to flip."""
        store = self._hidden / name / "fieldkit-backups"
        files = sorted(path for path in store.rglob("*") if path.is_file() and path.stat().st_size)
        if not files:
            return
        path = files[draw(len(files))]
        content = bytearray(path.read_bytes())
        for _ in range(bits):
            content[draw(len(content))] ^= 1 << draw(8)
        # Behind the kit's back: the folder may be read-only where the kit sees it.
        path.write_bytes(content)

    def heal(self) -> None:
        """Media in place, writable, with room."""
        for name, spot in self._spots.items():
            (self._hidden / name / _BALLAST).unlink(missing_ok=True)
            if name not in self._bound:
                self._bind(name)
            else:
                _mount("none", spot, "none", _MS_REMOUNT | _MS_BIND)

    def cut_power(self) -> None:
        """Go on from what the images hold at this moment: what was not flushed is lost.

        The processes that use the filesystems must not run any more.
        """
        if not self._cuttable:
            raise RuntimeError("this run was not made for a power cut")
        images = {name: self._image(name) for name in self._spots}
        self._power_cuts += 1
        for name, image in images.items():
            shutil.copyfile(image, self._image(name))
        for name in self._spots:
            if name in self._bound:
                _unmount(self._spots[name])
                self._bound.remove(name)
            _unmount(self._hidden / name)
            self._mount_image(name)
            self._bind(name)

    def _image(self, name: str) -> Path:
        return self._hidden / f"{name}.{self._power_cuts}.img"

    def _mount_image(self, name: str) -> None:
        words = ["mount", "-o", "loop", str(self._image(name)), str(self._hidden / name)]
        subprocess.run(words, check=True)

    def _bind(self, name: str) -> None:
        _mount(self._hidden / name, self._spots[name], "none", _MS_BIND)
        self._bound.add(name)
