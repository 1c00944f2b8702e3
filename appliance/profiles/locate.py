"""Find the line of a key in a TOML document, so that an error can point at it.

`tomllib` keeps no positions. This scan knows table headers, keys, multi-line strings and arrays
with one element on a line, which is how profiles are written; where a key lies deeper, inside an
inline table, the line of what encloses it is given.
"""

from __future__ import annotations

import re

KeyPath = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(
    r"^\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*[A-Za-z0-9_\"'-]+)*)\s*=(.*)$"
)
_QUOTES = ('"""', "'''")


def line_of(text: str, path: KeyPath) -> int:
    """The line (from 1) of the key at `path`, else of the closest table or key that encloses it."""
    lines = _Scanner(text).lines
    for end in range(len(path), 0, -1):
        if path[:end] in lines:
            return lines[path[:end]]
    return 1


class _Scanner:
    """One pass over the document; `lines` maps each key path seen to its first line."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._table: KeyPath = ()
        self._array: KeyPath | None = None
        self._elements = 0
        self._string_end = ""
        for number, line in enumerate(text.splitlines(), start=1):
            self._scan(number, line)

    def _scan(self, number: int, line: str) -> None:
        if self._string_end:
            if self._string_end in line:
                self._string_end = ""
        elif self._array is not None:
            self._scan_element(number, line, self._array)
        elif header := _HEADER.match(line):
            self._open_table(number, header[2], is_array=header[1] == "[[")
        elif key := _KEY.match(line):
            self._open_key(number, _parts(key[1]), key[2].strip())

    def _scan_element(self, number: int, line: str, path: KeyPath) -> None:
        stripped = line.strip()
        if stripped.startswith("]"):
            self._array = None
        elif stripped and not stripped.startswith("#"):
            self.lines.setdefault((*path, self._elements), number)
            self._elements += 1

    def _open_table(self, number: int, name: str, *, is_array: bool) -> None:
        path = self._resolve(_parts(name), is_array=is_array)
        for end in range(1, len(path) + 1):
            self.lines.setdefault(path[:end], number)
        self._table = path

    def _resolve(self, parts: list[str], *, is_array: bool) -> KeyPath:
        """A header names arrays without an index: `[memory.read]` is of the last `[[memory]]`."""
        path: KeyPath = ()
        for part in parts[:-1]:
            path = (*path, part)
            if (last := self._last_index(path)) >= 0:
                path = (*path, last)
        path = (*path, parts[-1])
        return (*path, self._last_index(path) + 1) if is_array else path

    def _last_index(self, path: KeyPath) -> int:
        index = -1
        while (*path, index + 1) in self.lines:
            index += 1
        return index

    def _open_key(self, number: int, parts: list[str], value: str) -> None:
        path = (*self._table, *parts)
        self.lines.setdefault(path, number)
        for quote in _QUOTES:
            if value.startswith(quote) and quote not in value[3:]:
                self._string_end = quote
        if value.split("#", maxsplit=1)[0].strip() == "[":
            self._array, self._elements = path, 0


def _parts(name: str) -> list[str]:
    return [part.strip().strip("\"'") for part in name.split(".")]
