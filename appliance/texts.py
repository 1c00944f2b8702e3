"""Putting an agreement text on the kit: from then on it holds, where it is the newest."""

from __future__ import annotations

from pathlib import Path

from appliance.durable import write_durably
from hw.errors import BadInputError, UnavailableError
from hw.statements import TextName
from hw.texts import FOLDER, file_name


def install_text(state: Path, name: TextName, language: str, version: int, content: str) -> bool:
    """Put a text of the workshop's in its place; an older one that came late changes nothing.

    The caller knows that it is the workshop's. The shipped texts of this name stand back from the
    first one on.

    Args:
        state: the kit's state folder.
        name, language, version: what it is (see `hw.texts`).
        content: the words; the first line is the title.

    Returns:
        Whether it was new to this kit.

    Raises:
        BadInputError: name, language or version is none, there are no words, or this kit has other
            words under that name.
        UnavailableError: the state folder cannot be written.
    """
    path = state / FOLDER / file_name(name, language, version)
    if not content.strip():
        raise BadInputError("The text has no words.", "Have the workshop publish it again.")
    try:
        if path.exists():
            _check_same(path, content.encode())
            return False
        path.parent.mkdir(mode=0o755, exist_ok=True)
        write_durably(path, content.encode(), 0o644)
    except OSError as error:
        raise UnavailableError(
            f"The kit cannot keep the text {path.name}: {error.strerror}.",
            "Free space in the state folder or mend its medium, then try again.",
        ) from error
    return True


def _check_same(path: Path, content: bytes) -> None:
    """Somebody may have signed the words that are here: they never change under their name."""
    if path.read_bytes() != content:
        raise BadInputError(
            f"This kit has other words as {path.name}.",
            "Have the workshop publish the text with a new version.",
        )
