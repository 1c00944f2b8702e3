"""Texts that people agree to, as the workshop publishes them: to its kits and on the mail-in form.

All languages of a text share their versions: the highest version of a name is the one that holds,
in the languages that there are of it. A language that comes later joins that version; one that is
published again begins the next.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.sync.change import Change, TextIssued
from appliance.workshop.feed import hold_numbers, publish
from appliance.workshop.tables import HubDatabase, Models
from hw.errors import UsageError
from hw.statements import TEXT_NAMES, TextName
from hw.texts import SHIPPED, kept_texts

KIND = "text"


def publish_text(
    database: HubDatabase, key: Ed25519PrivateKey, name: str, language: str, text: str
) -> TextIssued:
    """Give every kit a text.

    Args:
        name: such as `terms`.
        language: two letters.
        text: the first line is its title.

    Raises:
        UsageError: name, language or text cannot be used.
    """
    issued = _checked(name, language, text)

    def tell(tables: Models) -> TextIssued:
        hold_numbers(database, tables)
        known = [one for one in _published(tables) if one.name == name]
        newest = max((one.version for one in known), default=1)
        again = any((one.version, one.language) == (newest, language) for one in known)
        numbered = msgspec.structs.replace(issued, version=newest + 1 if again else newest)
        publish(database, tables, key, KIND, f"{name}/{language}", numbered)
        return numbered

    return database.write(tell)


def held_texts(database: HubDatabase, language: str = "en") -> list[TextIssued]:
    """The texts that hold now, in one language, by name: the workshop's own; of a name that it
    never published, the one that comes with the program.
    """
    with database.reading() as tables:
        published = list(_published(tables))
    own = {one.name for one in published}
    published += [one for name in TEXT_NAMES if name not in own for one in _shipped(name)]
    newest: dict[str, int] = {}
    for one in published:
        newest[one.name] = max(newest.get(one.name, 0), one.version)
    held = [one for one in published if one.language == language]
    return sorted(
        (one for one in held if one.version == newest[one.name]), key=lambda one: one.name
    )


def _published(tables: Models) -> Iterator[TextIssued]:
    changes = tables.changes
    for row in changes.select(changes.document).where(changes.kind == KIND):
        change = msgspec.json.decode(row.document, type=Change)
        yield msgspec.convert(change.body, TextIssued)


def _shipped(name: TextName) -> Iterator[TextIssued]:
    # The folder of the shipped ones has no texts of a workshop below it.
    for language, text in kept_texts(SHIPPED, name).held.items():
        yield TextIssued(name=name, language=language, version=text.version, text=text.content)


def _checked(name: str, language: str, text: str) -> TextIssued:
    try:
        return msgspec.convert(
            {"name": name, "language": language, "version": 1, "text": text}, TextIssued
        )
    except msgspec.ValidationError as error:
        raise UsageError(
            f"This is no text for kits: {error}.",
            "Name it in small letters, its language in two, and give a file that is not empty.",
        ) from error
