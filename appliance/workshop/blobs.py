"""Blobs: files named by their SHA-256, that arrive in pieces and count only when they are whole.

A piece lies under its offset until the last one came; then all are put together under a name that
nobody else uses, their hash is computed again, and only what has the right one gets the blob's
name. So whoever was cut off goes on where the hub has got to, no blob is ever half there, and it
does not matter how many hubs take pieces of it. In a folder everything is flushed to the disk
before it counts; an object store, which cannot append but puts and renames whole objects, answers
for that itself.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, S3Store, from_url

from appliance.durable import sync_folder
from appliance.workshop.errors import Conflict, HubFull, HubUnavailable, Malformed, TooLarge
from hw.errors import UsageError

MOST_BYTES = 4 << 30
PIECE_BYTES = 4 << 20
RESERVE_BYTES = 64 << 20
"""So much stays free: the database must be able to write down what came."""
_STAGE = "whole"
_LEFT_OVER = timedelta(days=1)
_NAME = re.compile(r"[0-9a-f]{64}\Z")


class Blobs:
    """The store.

    Args:
        where: a folder, or a URL: `s3://bucket/prefix`, with `?endpoint=http://…` and `&region=…`
            where it is not Amazon's; the secrets are in the environment (`AWS_ACCESS_KEY_ID`,
            `AWS_SECRET_ACCESS_KEY`) or the machine's own. Others that obstore knows may do.

    Raises:
        UsageError: the URL says something that is not understood.
        HubUnavailable: it cannot be opened.
    """

    def __init__(self, where: str) -> None:
        self._folder = None if "://" in where else Path(where)
        with _told_in_words():
            self._store: Any = _opened(where)
            if self._folder is not None:
                _make_folders(self._folder)
            self._remove_leftovers()

    def size(self, sha256: str) -> int | None:
        """Bytes of a whole blob, None where it is not whole."""
        with _told_in_words():
            try:
                return int(obstore.head(self._store, _blob(sha256))["size"])
            except (NotFoundError, FileNotFoundError):
                return None

    def offset(self, sha256: str) -> int:
        """How many bytes of a blob that is not whole have come."""
        with _told_in_words():
            return _end(self._pieces(_checked(sha256)))

    def add(self, sha256: str, offset: int, total: int, piece: bytes) -> int:
        """Take a piece; with the last one the blob is whole.

        Returns:
            How many bytes have come.

        Raises:
            Malformed: the name is none, or what came has another hash; all pieces are dropped.
            Conflict: the hub has got to another offset.
            TooLarge: the piece or the blob is.
            HubFull: there is no room.
            HubUnavailable: the store does not answer.
        """
        name = _checked(sha256)
        if total > MOST_BYTES or len(piece) > PIECE_BYTES:
            raise TooLarge(
                f"A blob has at most {MOST_BYTES} bytes, a piece of it {PIECE_BYTES}.",
                "Send it in smaller pieces.",
            )
        if self.size(name) is not None:
            return total
        with _told_in_words():
            self._check_room(2 * len(piece))
            if offset == 0 and len(piece) == total:
                self._keep_whole(name, piece)
                return total
            at = _end(self._pieces(name))
            # An empty piece asks to go on with what a hub that was stopped had not put together.
            if offset != at or offset + len(piece) > total or (not piece and at != total):
                raise Conflict(
                    f"{at} of {total} bytes have come, the piece begins at {offset}.",
                    "Ask for the offset and go on from there.",
                )
            if piece:
                obstore.put(self._store, _part(name, offset), piece)
                self._flush(_part(name, offset))
                self._flush_folder(_part(name, offset))
            if offset + len(piece) == total:
                self._complete(name)
        return offset + len(piece)

    def read(self, sha256: str) -> Iterator[bytes]:
        """The bytes of a whole blob, piece by piece.

        Raises:
            HubUnavailable: the store does not answer, or it is not there.
        """
        with _told_in_words():
            yield from (bytes(part) for part in obstore.get(self._store, _blob(sha256)))

    def read_again(self, sha256: str) -> Iterator[bytes]:
        """As `read`, but what lies in a folder comes from its disk, and not from memory."""
        if self._folder is not None:
            with _told_in_words():
                _forget_in_memory(self._folder / _blob(sha256))
        return self.read(sha256)

    def _pieces(self, name: str) -> list[tuple[int, int]]:
        """Offset and size of each piece that lies there."""
        batches = obstore.list(self._store, _parts(name))
        items = [item for batch in batches for item in batch]
        return sorted((int(item["path"].rsplit("/", 1)[1]), int(item["size"])) for item in items)

    def _complete(self, name: str) -> None:
        paths = [_part(name, at) for at, _ in _chain(self._pieces(name))]
        try:
            self._keep(name, (bytes(obstore.get(self._store, path).bytes()) for path in paths))
        except Malformed:
            self._drop(name, paths)
            raise
        self._drop(name, paths)

    def _keep_whole(self, name: str, piece: bytes) -> None:
        """Keep what came in one piece, if it has the hash."""
        _check_hash(name, hashlib.sha256(piece).hexdigest())
        stage = _stage(name)
        obstore.put(self._store, stage, piece)
        self._name(stage, name)

    def _keep(self, name: str, pieces: Iterable[bytes]) -> None:
        """Put pieces together; they get the blob's name if they have its hash."""
        computed, stage = hashlib.sha256(), _stage(name)
        with obstore.open_writer(self._store, stage) as writer:
            for piece in pieces:
                computed.update(piece)
                writer.write(piece)
        try:
            _check_hash(name, computed.hexdigest())
        except Malformed:
            obstore.delete(self._store, stage)
            raise
        self._name(stage, name)

    def _name(self, stage: str, name: str) -> None:
        """Only what lies safely gets the name: an empty file of that name would count as whole."""
        self._flush(stage)
        obstore.rename(self._store, stage, _blob(name))
        self._flush_folder(_blob(name))

    def _drop(self, name: str, paths: list[str]) -> None:
        obstore.delete(self._store, paths)
        if self._folder is not None:
            with suppress(OSError):  # Another hub may be putting it together, too.
                (self._folder / _parts(name)).rmdir()

    def _remove_leftovers(self) -> None:
        """Remove what hubs that were stopped had begun to put together."""
        before = datetime.now(UTC) - _LEFT_OVER
        for batch in obstore.list(self._store, _STAGE):
            for item in batch:
                if item["last_modified"] < before:
                    obstore.delete(self._store, item["path"])

    def _flush(self, path: str) -> None:
        if self._folder is None:
            return
        descriptor = os.open(self._folder / path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _flush_folder(self, path: str) -> None:
        if self._folder is not None:
            sync_folder((self._folder / path).parent)

    def _check_room(self, size: int) -> None:
        if self._folder is not None:
            room = os.statvfs(self._folder)
            if room.f_bavail * room.f_frsize < size + RESERVE_BYTES:
                raise HubFull


def _opened(where: str) -> Any:
    if "://" not in where:
        return LocalStore(Path(where), mkdir=True)
    address = urlsplit(where)
    options = dict(parse_qsl(address.query, keep_blank_values=True))
    if address.scheme != "s3":
        if options:
            raise _not_understood(where, next(iter(options)))
        return from_url(where)
    if unknown := options.keys() - {"endpoint", "region"}:
        raise _not_understood(where, min(unknown))
    known: Any = options  # Which of them there are was looked at; the types name each.
    return S3Store(
        address.netloc,
        prefix=address.path.strip("/") or None,
        client_options={"allow_http": options.get("endpoint", "").startswith("http://")},
        **known,
    )


def _not_understood(where: str, option: str) -> UsageError:
    return UsageError(
        f"'{option}' in {where} is not understood.",
        "Give s3://bucket/prefix?endpoint=https://…&region=…; secrets are in the environment.",
    )


def _make_folders(folder: Path) -> None:
    """All of them at once: a folder that a power cut takes away would take its files along."""
    for number in range(256):
        (folder / "blobs" / f"{number:02x}").mkdir(parents=True, exist_ok=True)
    for name in ("parts", _STAGE):
        (folder / name).mkdir(exist_ok=True)
    sync_folder(folder / "blobs")
    sync_folder(folder)


def _forget_in_memory(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _checked(sha256: str) -> str:
    if not _NAME.match(sha256):
        raise Malformed(f"'{sha256[:80]}' is no SHA-256.", "Name a blob by 64 lower-case digits.")
    return sha256


def _blob(sha256: str) -> str:
    return f"blobs/{_checked(sha256)[:2]}/{sha256}"


def _stage(name: str) -> str:
    return f"{_STAGE}/{name}.{secrets.token_hex(8)}"


def _check_hash(name: str, computed: str) -> None:
    if computed != name:
        raise Malformed(
            f"What came as {name} has the hash {computed}.",
            "Read the file again and send it from its beginning.",
        )


def _parts(name: str) -> str:
    return f"parts/{name}"


def _part(name: str, offset: int) -> str:
    return f"{_parts(name)}/{offset:012d}"


def _chain(pieces: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The pieces that follow each other from the beginning."""
    end = 0
    for at, size in pieces:
        if at != end:
            return
        yield at, size
        end += size


def _end(pieces: list[tuple[int, int]]) -> int:
    return sum(size for _, size in _chain(pieces))


@contextmanager
def _told_in_words() -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        if "no space left" in str(error).lower():
            raise HubFull from error
        raise HubUnavailable(
            f"The workshop's store of files failed: {error}.",
            "Look at the workshop's machine; kits keep everything and come again.",
        ) from error
