"""What a workshop says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.workshop.settings import SETTINGS, Settings, load_settings
from hw.errors import BadInputError


def test_without_a_file_a_workshop_says_little(tmp_path: Path) -> None:
    assert load_settings(tmp_path) == Settings()


def test_what_it_says_is_read(tmp_path: Path) -> None:
    (tmp_path / SETTINGS).write_text('name = "Bench"\naddress = "1 Long Street\\nCape Town"\n')
    assert load_settings(tmp_path) == Settings(name="Bench", address="1 Long Street\nCape Town")


@pytest.mark.parametrize(
    "text", ["name = ", "colour = 'red'", "name = 1", "whatsapp = 'call me'", "\x00"]
)
def test_a_mistake_is_told_with_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / SETTINGS).write_text(text)
    with pytest.raises(BadInputError, match=SETTINGS):
        load_settings(tmp_path)
