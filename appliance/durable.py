"""Writing a file so that a power cut leaves the old content or the new, never a part.

What this cannot promise: `fsync` ends at the drive. A drive or USB stick that answers before its
own cache is written can still lose the last writes, and a worn one can return other bytes later.
That is why backups are read again after writing and lie on two media.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_durably(path: Path, data: bytes, mode: int | None = 0o600) -> None:
    """Put `data` at `path`, replacing what was there, at once and for good.

    Args:
        path: where; the folder must exist.
        data: the whole content.
        mode: permission bits; None leaves them to the filesystem, for media that have none (FAT).

    Raises:
        OSError: it could not be written; `path` is as it was before.
    """
    # A name of its own for every call, so that two writers never fill the same file.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        create_durably(temporary, data, mode)
        # Only after the content is on the medium may the name point to it: many filesystems write
        # the rename first, and a power cut would leave an empty file under the right name.
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def create_durably(path: Path, data: bytes, mode: int | None = 0o600) -> None:
    """Write a file that must not exist yet; its name lasts only once its folder is synced too.

    Raises:
        OSError: it exists already or could not be written; what was written of it may remain.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(path, flags, 0o644 if mode is None else mode), "wb") as stream:
        if mode is not None:
            os.fchmod(stream.fileno(), mode)  # the umask must not decide about a secret
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last: creations, renames and removals.

    Raises:
        OSError: the medium failed.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
