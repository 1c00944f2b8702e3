"""Taking secrets and customers out of text that leaves the kit.

What can be told by its form (keys, values behind words such as `passphrase`, VINs, e-mail
addresses) is taken out wherever it stands; names, telephone numbers and plates have no form and are
taken out because the kit's own records know them.

What this cannot promise: a secret in a form of its own that nothing announces, and a name that is
written otherwise than on the record.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from appliance.sync.enrolcode import BEGINS

HIDDEN = "[hidden]"
_LONG_WORD = 4
"""Letters of a name's word that is taken out by itself, too; shorter ones stand in any text."""
_SHORTEST = 2
"""Letters that a known text must have at least: one by itself stands everywhere."""

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?(?:-----END \1-----|\Z)", re.DOTALL)
_AGE_KEY = re.compile(r"AGE-SECRET-KEY-[A-Z0-9]+", re.IGNORECASE)
_VALUE = r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\n]+)"""
_PASSPHRASE = re.compile(
    r"""((?:pass ?phrase|passwor[dt]|passwd)[a-z_-]*["']?[\s:=]+)""" + _VALUE, re.IGNORECASE
)
_NAMED = re.compile(
    r"((?:secret|token|authorization|cookie|(?:api|private|database|master)[ _-]?key|psk)"
    r"""[a-z_-]*["']?\s*(?:[:=]|\bis\b)\s*)""" + _VALUE,
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_ENROLMENT = re.compile(rf"({BEGINS})\S+", re.IGNORECASE)
_IN_URL = re.compile(r"(://)[^/\s:@]+:[^/\s@]*@")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_VIN = re.compile(r"(?<![A-Za-z0-9])(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-HJ-NPR-Za-hj-npr-z0-9]{17}"
                  r"(?![A-Za-z0-9])")  # fmt: skip
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:0x)?[0-9A-Fa-f]{2}(?:[ :]?[0-9A-Fa-f]{2}){16,}")
_VIN_BYTES = re.compile(rb"[A-HJ-NPR-Z0-9]{17}")
_WORD = re.compile(r"\w+")
_MAKER = 3
"""Letters of a VIN that name the maker (ISO 3780); they stay."""


class Mask:
    """Takes secrets and customers out of text.

    Args:
        known: what the records know of customers and cars: names, numbers, plates, VINs.
        names: those of them that are people's: each longer word of one is taken out by itself.
    """

    def __init__(self, known: Iterable[str] = (), names: Iterable[str] = ()) -> None:
        self._known: dict[str, set[tuple[str, ...]]] = {}
        for text in known:
            self._add(_words(text))
        for name in names:
            words = _words(name)
            self._add(words)
            for word in words:
                if len(word) >= _LONG_WORD:
                    self._add((word,))

    def text(self, text: str) -> str:
        """The text without them."""
        text = _BLOCK.sub(HIDDEN, text)
        text = _AGE_KEY.sub(HIDDEN, text)
        text = _BEARER.sub(HIDDEN, text)
        for announced in (_PASSPHRASE, _NAMED):
            text = announced.sub(lambda found: found[1] + HIDDEN, text)
        text = _ENROLMENT.sub(rf"\1{HIDDEN}", text)
        text = _IN_URL.sub(rf"\1{HIDDEN}@", text)
        text = _EMAIL.sub(HIDDEN, text)
        text = _HEX.sub(_without_vin, text)
        text = _VIN.sub(lambda found: found[0][:_MAKER] + HIDDEN, text)
        return self._without_known(text)

    def value(self, value: Any) -> Any:
        """A JSON value with every text in it masked; names of fields stay."""
        match value:
            case str():
                return self.text(value)
            case dict():
                return {name: self.value(one) for name, one in value.items()}
            case list():
                return [self.value(one) for one in value]
        return value

    def _add(self, words: tuple[str, ...]) -> None:
        if sum(map(len, words)) >= _SHORTEST:
            self._known.setdefault(words[0], set()).add(words)

    def _without_known(self, text: str) -> str:
        found = list(_WORD.finditer(text))
        words = [one[0].casefold() for one in found]
        parts: list[str] = []
        at = done = 0
        while at < len(words):
            length = self._length_at(words, at)
            if length:
                parts += text[done : found[at].start()], HIDDEN
                done = found[at + length - 1].end()
            at += length or 1
        return "".join((*parts, text[done:]))

    def _length_at(self, words: Sequence[str], at: int) -> int:
        """So many words from here on are one known text; 0 for none."""
        fits = (
            len(one)
            for one in self._known.get(words[at], ())
            if tuple(words[at : at + len(one)]) == one
        )
        return max(fits, default=0)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.casefold() for word in _WORD.findall(text))


def _without_vin(found: re.Match[str]) -> str:
    """Bytes in hex as they are, unless a VIN's letters stand in them."""
    return HIDDEN if any(_VIN_BYTES.search(one) for one in _bytes_of(found[0])) else found[0]


def _bytes_of(text: str) -> Iterator[bytes]:
    digits = re.sub(r"^0x|[ :]", "", text)
    for start in (0, 1):
        rest = digits[start:]
        yield bytes.fromhex(rest[: len(rest) // 2 * 2])
