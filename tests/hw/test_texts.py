"""The texts that a customer signs: what comes with the kit, and the workshop's in their place."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from hw.errors import BadInputError
from hw.statements import TEXT_NAMES, TextName
from hw.texts import FOLDER, SHIPPED, Text, Texts, file_name, kept_texts


def put(state: Path, name: str, content: str) -> str:
    """Put a text into the state folder; returns its digest."""
    folder = state / "texts"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(content)
    return hashlib.sha256(content.encode()).hexdigest()


@pytest.mark.parametrize("name", TEXT_NAMES)
def test_each_text_is_shipped_in_every_language_of_the_screen(
    tmp_path: Path, name: TextName
) -> None:
    texts = kept_texts(tmp_path, name)
    assert set(texts.held) == {"af", "de", "en"}
    for language, text in texts.held.items():
        path = SHIPPED / f"{name}.{language}.1.txt"
        assert text.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert text.title == path.read_text().splitlines()[0]
        assert text.language == language
        assert text.version == 1
        assert len(text.content.split("\n\n")) >= 5
        assert text in texts.all


def test_the_workshops_text_takes_the_place_of_the_shipped_one_in_all_languages(
    tmp_path: Path,
) -> None:
    digest = put(tmp_path, "terms.de.1.txt", "Bedingungen\n\nUnsere.\n")
    texts = kept_texts(tmp_path, "terms")
    assert {text.sha256 for text in texts.held.values()} == {digest}
    assert texts.held["de"].title == "Bedingungen"
    assert len(texts.all) == 4
    assert len(kept_texts(tmp_path, "immobiliser").held) == 3


def test_the_highest_version_holds_and_older_ones_stay(tmp_path: Path) -> None:
    put(tmp_path, "terms.en.2.txt", "two")
    put(tmp_path, "terms.en.10.txt", "ten")
    put(tmp_path, "terms.de.10.txt", "zehn")
    put(tmp_path, "terms.de.9.txt", "neun")
    put(tmp_path, "terms.af.9.txt", "nege")
    texts = kept_texts(tmp_path, "terms")
    assert {key: text.content for key, text in texts.held.items()} == {"en": "ten", "de": "zehn"}
    assert {text.version for text in texts.held.values()} == {10}
    assert {"two", "neun", "nege"} < {text.content for text in texts.all}


@pytest.mark.parametrize(
    "name",
    [
        "terms.en.0.txt",
        "terms.en.txt",
        "terms.en.1.txt.part",
        ".terms.en.1.txt",
        "terms.english.1.txt",
        "terms.EN.1.txt",
        "warranty.en.1.txt",
        "terms.en.1234567.txt",
        "terms_en_1_txt.txt",
        "immobiliser.en.1.txt",
    ],
)
def test_a_file_that_is_not_named_as_this_text_is_none_of_it(tmp_path: Path, name: str) -> None:
    put(tmp_path, name, "other")
    assert "other" not in {text.content for text in kept_texts(tmp_path, "terms").all}


def test_a_text_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    put(tmp_path, "terms.en.1.txt", "")
    (tmp_path / FOLDER / "terms.en.1.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInputError, match="agreement text cannot be read") as error:
        kept_texts(tmp_path, "terms")
    assert error.value.next_step == "Get the texts from the workshop again."
    kept_texts(tmp_path, "immobiliser")
    (tmp_path / FOLDER / "terms.en.1.txt").unlink()
    (tmp_path / FOLDER / "terms.en.1.txt").mkdir()
    with pytest.raises(BadInputError, match="agreement text cannot be read"):
        kept_texts(tmp_path, "terms")


def test_a_text_is_not_changed_and_its_parts_are_named(tmp_path: Path) -> None:
    texts = kept_texts(tmp_path, "terms")
    for one, name in ((texts, "held"), (texts.held["en"], "content")):
        with pytest.raises(AttributeError):
            setattr(one, name, None)
    with pytest.raises(TypeError):
        Text("en", 1, "Terms")  # type: ignore[call-arg]  # that it is refused is what is shown
    with pytest.raises(TypeError):
        Texts({}, [])  # type: ignore[call-arg]  # as above


def test_the_name_of_a_file_says_what_it_holds() -> None:
    assert file_name("dtc_modification", "af", 12) == "dtc_modification.af.12.txt"


@pytest.mark.parametrize(
    ("language", "version"), [("../x", 1), ("e", 1), ("", 1), ("en", 0), ("en", -1), ("en", 10**6)]
)
def test_a_text_without_a_good_name_is_refused(language: str, version: int) -> None:
    with pytest.raises(BadInputError, match="is no name of an agreement text") as error:
        file_name("terms", language, version)
    assert error.value.next_step == (
        "Name one of terms, immobiliser, dtc_modification, a language such as 'en', and a "
        "version from 1."
    )
