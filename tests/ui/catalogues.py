"""The catalogues: what texts there are, and their compiled form.

`python -m tests.ui.catalogues` takes new texts into every catalogue and compiles them; a text that
is not translated is left empty, which a test finds.
"""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from ui.i18n import DOMAIN, FOLDER, LANGUAGES

UI = FOLDER.parent
IN_KV = re.compile(r"""\b_\(('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\)""")


def texts() -> Iterator[tuple[str, str, int]]:
    """Every text that is asked for: the text, its file and line."""
    for path in sorted(UI.rglob("*.py")):
        # Babel's own reader does not look into f-strings.
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="_" | "n_"), args=[ast.Constant(value=str(text))]):
                    yield text, path.relative_to(UI.parent).as_posix(), node.lineno
    for path in sorted(UI.rglob("*.kv")):
        for number, line_text in enumerate(path.read_text().splitlines(), 1):
            for match in IN_KV.finditer(line_text):
                text = ast.literal_eval(match[1])
                yield text, path.relative_to(UI.parent).as_posix(), number


def file(language: str, kind: str) -> Path:
    return FOLDER / language / "LC_MESSAGES" / f"{DOMAIN}.{kind}"


def catalogue(language: str) -> Catalog:
    """What is translated; empty where there is no catalogue."""
    path = file(language, "po")
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as source:
        return read_po(source, locale=language)


def compiled(language: str) -> bytes:
    """The catalogue as gettext reads it."""
    out = io.BytesIO()
    write_mo(out, catalogue(language))
    return out.getvalue()


def update(language: str, more: dict[str, str] | None = None) -> None:
    """Take in what is asked for, keep what is translated, drop what nobody asks for."""
    old = {str(one.id): str(one.string or "") for one in catalogue(language) if one.id}
    old |= more or {}
    new = Catalog(
        locale=language, fuzzy=False, project="fieldkit", charset="utf-8", header_comment=""
    )
    new.creation_date = new.revision_date = datetime(2026, 11, 27, tzinfo=UTC)
    for text in sorted({text for text, _file, _line in texts()}):
        new.add(text, text if language == "en" else old.get(text, ""))
    path = file(language, "po")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        write_po(out, new, width=100, omit_header=False)
    file(language, "mo").write_bytes(compiled(language))


if __name__ == "__main__":
    for one in LANGUAGES:
        update(one)
