"""The text header of a VBF file: `name = value;` pairs between braces, with `//` comments."""

from __future__ import annotations

import re
from dataclasses import dataclass

from appliance.containers.errors import ContainerError

HEADER_LIMIT = 256 * 1024

Value = str | tuple["Value", ...]
"""A word (numbers are words too: signatures keep their leading zeros), a text, or a list."""

KNOWN_FIELDS = frozenset(
    {
        "description",
        "sw_part_number",
        "sw_version",
        "sw_part_type",
        "sw_current_part_number",
        "sw_current_version",
        "network",
        "ecu_address",
        "frame_format",
        "data_format_identifier",
        "erase",
        "omit",
        "call",
        "jmp",
        "file_checksum",
        "sw_signature",
        "sw_signature_dev",
        "public_key_hash",
        "verification_block_start",
        "verification_block_length",
        "verification_block_root_hash",
    }
)
_ANY_FIELD = "|".join(sorted(KNOWN_FIELDS | {"vbf_version", "header"}))
_TOKEN = re.compile(
    rb"""(?P<space>[ \t\r\n]+)
    |(?P<comment>//[^\n]*)
    |"(?P<text>[^"\r\n]*)"
    |(?P<word>[A-Za-z0-9_.][A-Za-z0-9_.+-]*)
    |(?P<sign>[{}=;,])""",
    re.VERBOSE,
)
_HIDDEN_FIELD = re.compile(rb"\b(?:" + _ANY_FIELD.encode() + rb")\s*[={]|\{\s*0[xX]")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]{1,8}|0|[1-9][0-9]{0,9}")


@dataclass(frozen=True, slots=True)
class Header:
    """A parsed header.

    Attributes:
        version: `vbf_version`.
        fields: every field of the header; only names in `KNOWN_FIELDS`.
        end: offset of the first byte after the header's closing brace.
    """

    version: str
    fields: dict[str, Value]
    end: int


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    offset: int


def parse_header(name: str, content: bytes) -> Header:
    """Read the header of a VBF file.

    Raises:
        ContainerError: it is not well formed, has a field twice or one that is not known (what
            is not understood is not ignored), or a comment hides a field.
    """
    return _Parser(name, content).header()


def number(value: Value | None) -> int | None:
    """Read a value as a number of at most 32 bits; None where it is none."""
    return int(value, 0) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


class _Parser:
    """Recursive descent over the tokens; never looks beyond the header's closing brace."""

    def __init__(self, name: str, content: bytes) -> None:
        self._name = name
        self._content = content[:HEADER_LIMIT]
        self._at = 0

    def header(self) -> Header:
        self._expect("word", "vbf_version")
        self._expect("sign", "=")
        version = self._expect("word").text
        self._expect("sign", ";")
        self._expect("word", "header")
        self._expect("sign", "{")
        fields: dict[str, Value] = {}
        while (token := self._next()).text != "}" or token.kind != "sign":
            self._field(token, fields)
        return Header(version, fields, self._at)

    def _field(self, token: _Token, fields: dict[str, Value]) -> None:
        if token.kind != "word" or token.text not in KNOWN_FIELDS:
            raise self._error(token, f"the header has a field that is not known: '{token.text}'")
        if token.text in fields:
            raise self._error(token, f"the header gives '{token.text}' twice")
        self._expect("sign", "=")
        fields[token.text] = self._value(self._next())
        self._expect("sign", ";")

    def _value(self, token: _Token) -> Value:
        if token.kind in ("text", "word"):
            return token.text
        if token.text != "{":
            raise self._error(token, f"a value was expected, here is '{token.text}'")
        return self._list()

    def _list(self) -> tuple[Value, ...]:
        items = [self._value(self._next())]
        while (token := self._next()).text == "," and token.kind == "sign":
            items.append(self._value(self._next()))
        if token.kind != "sign" or token.text != "}":
            raise self._error(token, f"',' or '}}' was expected, here is '{token.text}'")
        return tuple(items)

    def _expect(self, kind: str, text: str | None = None) -> _Token:
        token = self._next()
        if token.kind != kind or (text is not None and token.text != text):
            wanted = f"'{text}'" if text else "a word"
            raise self._error(token, f"{wanted} was expected, here is '{token.text}'")
        return token

    def _next(self) -> _Token:
        while True:
            start = self._at
            match = _TOKEN.match(self._content, start)
            if match is None:
                raise self._unreadable(start)
            self._at = match.end()
            kind = str(match.lastgroup)
            if kind == "comment":
                self._check_comment(start, match.group())
            elif kind != "space":
                self._check_text(start, match.group())
                return _Token(kind, match.group(kind).decode("latin-1"), start)

    def _check_comment(self, start: int, comment: bytes) -> None:
        """A flipped line end would let a comment swallow the field on the next line."""
        self._check_text(start, comment)
        if _HIDDEN_FIELD.search(comment):
            raise ContainerError(self._name, start, "a comment hides a header field")

    def _check_text(self, start: int, text: bytes) -> None:
        if _CONTROL.search(text):
            raise ContainerError(self._name, start, "the header holds a control character")

    def _unreadable(self, start: int) -> ContainerError:
        if start >= len(self._content):
            return ContainerError(self._name, start, "the file ends inside the header")
        byte = self._content[start]
        return ContainerError(self._name, start, f"the header cannot be read at byte 0x{byte:02X}")

    def _error(self, token: _Token, reason: str) -> ContainerError:
        return ContainerError(self._name, token.offset, reason)
