"""Blobs: files named by their SHA-256, that arrive in pieces and count only when they are whole.

A piece lies under its offset until the last one came; then all are put together, their hash is
computed again, and only what has the right one gets the blob's name. So whoever was cut off goes on
where the hub has got to, and no blob is ever half there. In a folder everything is flushed to the
disk before it counts; an object store answers for that itself.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, from_url

from appliance.durable import sync_folder
from appliance.workshop.errors import Conflict, HubFull, HubUnavailable, Malformed, TooLarge

MOST_BYTES = 4 << 30
PIECE_BYTES = 4 << 20
RESERVE_BYTES = 64 << 20
"""So much stays free: the database must be able to write down what came."""
_NAME = re.compile(r"[0-9a-f]{64}\Z")


class Blobs:
    """The store.

    Args:
        where: a folder, or a URL that obstore knows (`s3://bucket/prefix`).
        options: of the object store, such as its endpoint.

    Raises:
        HubUnavailable: it cannot be opened.
    """

    def __init__(self, where: str, options: dict[str, str] | None = None) -> None:
        self._folder = None if "://" in where else Path(where)
        with _told_in_words():
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._store: Any = LocalStore(self._folder)
            else:
                # Which options there are depends on the kind of store that the URL names.
                known: Any = dict(options or {})
                self._store = from_url(where, config=known)

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
            at = _end(self._pieces(name))
            if offset != at or offset + len(piece) > total or (not piece and total):
                raise Conflict(
                    f"{at} of {total} bytes have come, the piece begins at {offset}.",
                    "Ask for the offset and go on from there.",
                )
            self._check_room(2 * len(piece))
            obstore.put(self._store, _part(name, offset), piece)
            self._flush(_part(name, offset))
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

    def _pieces(self, name: str) -> list[tuple[int, int]]:
        """Offset and size of each piece that lies there."""
        batches = obstore.list(self._store, _parts(name))
        items = [item for batch in batches for item in batch]
        return sorted((int(item["path"].rsplit("/", 1)[1]), int(item["size"])) for item in items)

    def _complete(self, name: str) -> None:
        paths = [_part(name, at) for at, _ in _chain(self._pieces(name))]
        computed = hashlib.sha256()
        whole = f"whole/{name}"
        with obstore.open_writer(self._store, whole) as writer:
            for path in paths:
                piece = bytes(obstore.get(self._store, path).bytes())
                computed.update(piece)
                writer.write(piece)
        self._flush(whole)
        right = computed.hexdigest() == name
        if right:
            obstore.rename(self._store, whole, _blob(name))
            self._flush(_blob(name))
        obstore.delete(self._store, paths if right else [*paths, whole])
        if not right:
            raise Malformed(
                f"What came as {name} has the hash {computed.hexdigest()}.",
                "Read the file again and send it from its beginning.",
            )

    def _flush(self, path: str) -> None:
        if self._folder is None:
            return
        file = self._folder / path
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(file.parent)

    def _check_room(self, size: int) -> None:
        if self._folder is not None:
            room = os.statvfs(self._folder)
            if room.f_bavail * room.f_frsize < size + RESERVE_BYTES:
                raise HubFull


def _checked(sha256: str) -> str:
    if not _NAME.match(sha256):
        raise Malformed(f"'{sha256[:80]}' is no SHA-256.", "Name a blob by 64 lower-case digits.")
    return sha256


def _blob(sha256: str) -> str:
    return f"blobs/{_checked(sha256)[:2]}/{sha256}"


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
