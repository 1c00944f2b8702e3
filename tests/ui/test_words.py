"""Catalogues and fonts: every text in every language, and a glyph for every character."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from reportlab.pdfbase.ttfonts import TTFontFile

from tests.ui import catalogues
from ui import i18n, manual
from ui.widgets import layouts, marks

FONTS = Path(i18n.__file__).parent / "fonts"
TEXTS = sorted({text for text, _file, _line in catalogues.texts()})


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_every_text_is_translated_and_nothing_else(language: str) -> None:
    there = {str(one.id): one.string for one in catalogues.catalogue(language) if one.id}
    assert sorted(there) == TEXTS, "run python -m tests.ui.catalogues"
    assert [text for text, translated in there.items() if not translated] == []


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_what_is_filled_in_is_the_same_in_every_language(language: str) -> None:
    def fields(text: str) -> list[str]:
        return sorted(
            str(field) for _text, field, *_rest in string.Formatter().parse(text) if field
        )

    for one in catalogues.catalogue(language):
        assert fields(str(one.string)) == fields(str(one.id))


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_the_compiled_catalogue_is_that_of_the_text(language: str) -> None:
    assert catalogues.file(language, "mo").read_bytes() == catalogues.compiled(language)


def test_a_text_that_is_not_translated_is_found() -> None:
    assert "Who is working?" in TEXTS
    assert "Gate" in TEXTS, "texts inside f-strings count, too"


@pytest.mark.parametrize("font", ["DejaVuSans.ttf", "DejaVuSans-Bold.ttf"])
def test_the_fonts_have_every_character(font: str) -> None:
    glyphs = TTFontFile(str(FONTS / font)).charToGlyph
    keys = {key for page in layouts.PAGES.values() for row in page for key in row if len(key) == 1}
    used = set(marks.ALL) | keys | {key.upper() for key in keys if key != "ß"}
    for language in i18n.LANGUAGES:
        used |= set("".join(str(one.string) for one in catalogues.catalogue(language)))
        used |= set((manual.FOLDER / f"{language}.md").read_text())
    assert [one for one in sorted(used) if one.isprintable() and ord(one) not in glyphs] == []


def test_the_manual_has_the_same_topics_in_every_language() -> None:
    counts = {len(manual.topics(language)) for language in i18n.LANGUAGES}
    assert len(counts) == 1
    assert counts.pop() > 5
