"""A workshop's text takes its place on the kit: once, and for good under its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance import texts
from appliance.texts import install_text
from hw.errors import BadInputError, UnavailableError
from hw.texts import FOLDER, kept_texts


def test_a_text_holds_from_then_on_and_comes_only_once(tmp_path: Path) -> None:
    assert install_text(tmp_path, "terms", "de", 3, "Bedingungen\n\nÜberall.\n")
    assert not install_text(tmp_path, "terms", "de", 3, "Bedingungen\n\nÜberall.\n")
    held = kept_texts(tmp_path, "terms").held
    assert {key: text.content for key, text in held.items()} == {"de": "Bedingungen\n\nÜberall.\n"}
    assert len(list((tmp_path / FOLDER).iterdir())) == 1


def test_an_older_text_that_comes_late_changes_nothing(tmp_path: Path) -> None:
    install_text(tmp_path, "terms", "en", 3, "three")
    assert install_text(tmp_path, "terms", "en", 2, "two")
    assert kept_texts(tmp_path, "terms").held["en"].content == "three"


def test_words_never_change_under_their_name(tmp_path: Path) -> None:
    install_text(tmp_path, "terms", "en", 1, "one")
    with pytest.raises(BadInputError, match=r"other words as terms\.en\.1\.txt"):
        install_text(tmp_path, "terms", "en", 1, "another")
    assert kept_texts(tmp_path, "terms").held["en"].content == "one"


@pytest.mark.parametrize(
    ("language", "version", "content"),
    [("../../x", 1, "text"), ("en", 0, "text"), ("en", 1, ""), ("en", 1, " \n ")],
)
def test_what_is_no_text_is_refused(
    tmp_path: Path, language: str, version: int, content: str
) -> None:
    with pytest.raises(BadInputError):
        install_text(tmp_path, "terms", language, version, content)
    assert not (tmp_path / FOLDER).exists()


def test_a_full_card_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(texts, "write_durably", full)
    with pytest.raises(UnavailableError, match="No space left on device"):
        install_text(tmp_path, "terms", "en", 1, "one")
    assert len(kept_texts(tmp_path, "terms").held) == 3
