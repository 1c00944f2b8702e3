"""The manual on the kit: short topics in `ui/help/LANGUAGE.md`, one below each `## ` heading."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from ui.i18n import language
from ui.models.base import ViewModel

FOLDER = Path(__file__).parent / "help"


class Topic(Struct, frozen=True):
    """A heading and its paragraphs."""

    title: str
    paragraphs: tuple[str, ...]


class HelpState(Struct, frozen=True, kw_only=True):
    """Topics that were found, and the one that is read."""

    query: str = ""
    topics: tuple[Topic, ...] = ()
    topic: Topic | None = None


def topics(code: str) -> tuple[Topic, ...]:
    """All topics of a language."""
    text = (FOLDER / f"{code}.md").read_text(encoding="utf-8")
    return tuple(_topic(part) for part in text.split("\n## ")[1:])


def _topic(part: str) -> Topic:
    title, _newline, rest = part.partition("\n")
    paragraphs = (" ".join(one.split()) for one in rest.split("\n\n"))
    return Topic(title.strip(), tuple(filter(None, paragraphs)))


class HelpModel(ViewModel[HelpState]):
    """Finds and shows topics."""

    def __init__(self) -> None:
        super().__init__(HelpState())

    def open(self) -> None:
        """The screen is shown: all topics."""
        self._change(topic=None)
        self.search("")

    def search(self, query: str) -> None:
        """Topics in which every word occurs."""
        words = query.casefold().split()
        found = [
            one
            for one in topics(language())
            if all(word in " ".join((one.title, *one.paragraphs)).casefold() for word in words)
        ]
        self._change(query=query, topics=tuple(found), topic=None)

    def read(self, title: str) -> None:
        """Read a topic; an empty title closes it."""
        self._change(topic=next((one for one in self.state.topics if one.title == title), None))
