"""The words that a customer signs: files that are named by what they are.

`NAME.LANGUAGE.VERSION.txt` holds the text and nothing else, in UTF-8; its first line is the title.
A text is named by the SHA-256 of the file, so that `sha256sum` shows what somebody signed. Those in
`hw/texts/` come with the kit. As soon as `<state>/texts/` holds one of a name, the workshop's own
stand in the place of all of that name. The languages of a text share its versions: the highest one
holds, in the languages that there are of it; older ones stay where they are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from hw.errors import BadInputError
from hw.statements import TEXT_NAMES, TextName

SHIPPED = Path(__file__).parent / "texts"
FOLDER = "texts"
"""Below the kit's state folder: the workshop's own."""
_FILE = re.compile(rf"({'|'.join(TEXT_NAMES)})\.([a-z]{{2,3}})\.([1-9][0-9]{{0,5}})\.txt")


class Text(Struct, frozen=True, kw_only=True):
    """One text in one language; `content` is what the file holds."""

    language: str
    version: int
    content: str

    @property
    def sha256(self) -> str:
        """Names the text."""
        return hashlib.sha256(self.content.encode()).hexdigest()

    @property
    def title(self) -> str:
        """Its first line."""
        return self.content.partition("\n")[0]


class Texts(Struct, frozen=True, kw_only=True):
    """All texts of one name that the kit has: `held` are those that hold now, by language."""

    held: dict[str, Text]
    all: list[Text]


def kept_texts(state: Path, name: TextName) -> Texts:
    """The texts of a name.

    Args:
        state: the kit's state folder.
        name: which.

    Raises:
        BadInputError: a file cannot be read. What is unknown is not signed.
    """
    own, shipped = list(_read(state / FOLDER, name)), list(_read(SHIPPED, name))
    rising = sorted(own or shipped, key=lambda text: text.version)
    return Texts(
        held={text.language: text for text in rising if text.version == rising[-1].version},
        all=[*own, *shipped],
    )


def file_name(name: TextName, language: str, version: int) -> str:
    """The name of a text's file.

    Raises:
        BadInputError: there is no such name, language or version.
    """
    found = f"{name}.{language}.{version}.txt"
    if _FILE.fullmatch(found) is None:
        raise BadInputError(
            f"{found} is no name of an agreement text.",
            f"Name one of {', '.join(TEXT_NAMES)}, a language such as 'en', and a version from 1.",
        )
    return found


def _read(folder: Path, name: TextName) -> Iterator[Text]:
    try:
        for path in sorted(folder.glob("*.txt")):
            found = _FILE.fullmatch(path.name)
            if found is not None and found[1] == name:
                content = path.read_bytes().decode()
                yield Text(language=found[2], version=int(found[3]), content=content)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"An agreement text cannot be read: {error}.", "Get the texts from the workshop again."
        ) from error
