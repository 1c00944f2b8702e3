"""The command line, the settings and the panel's brightness; nothing of it needs a window."""

from __future__ import annotations

from pathlib import Path

import pytest

from ui import program, settings
from ui.backlight import Backlight
from ui.settings import Settings, SettingsModel


@pytest.mark.parametrize("size", ["800", "799x480", "800x479", "479x800", "600x600", "axb", "-1x5"])
def test_a_size_that_does_not_fit_is_a_plain_sentence(
    size: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        program.parser().parse_args([f"--size={size}"])
    assert ended.value.code == 64
    said = capsys.readouterr().err
    assert "fieldkit-ui --help" in said
    assert "Traceback" not in said


def test_what_the_command_line_says_comes_before_what_is_kept() -> None:
    options = program.parser().parse_args(["--theme", "dark", "--rotation", "180"])
    assert Settings(language="af").changed_by(options) == Settings(
        theme="dark", language="af", rotation=180
    )


@pytest.mark.parametrize("text", ["", "{", '{"theme":"pink"}', '{"rotation":45}', "[]", "\xff"])
def test_damaged_settings_are_those_of_a_new_kit(tmp_path: Path, text: str) -> None:
    (tmp_path / settings.FILE).write_bytes(text.encode("latin-1"))
    assert settings.load(tmp_path) == Settings()


@pytest.mark.parametrize(
    ("panel", "kept", "used"),
    [
        ((800, 480), 0, 0),
        ((800, 480), 180, 180),
        ((800, 480), 270, 0),
        ((480, 800), 0, 90),
        ((720, 1280), 270, 270),
    ],
)
def test_a_panel_is_only_turned_so_that_it_is_wider_than_tall(
    tmp_path: Path, panel: tuple[int, int], kept: int, used: int
) -> None:
    model = SettingsModel(
        tmp_path, Settings(rotation=kept), Backlight(tmp_path / "none"), lambda _new: None, panel
    )
    assert model.state.settings.rotation == used
    assert model.state.rotations == ((0, 180) if panel[0] > panel[1] else (90, 270))


def test_settings_are_kept(tmp_path: Path) -> None:
    seen: list[Settings] = []
    model = SettingsModel(tmp_path, Settings(), Backlight(tmp_path / "none"), seen.append)
    model.set("language", "de")
    assert seen == [Settings(language="de")]
    assert settings.load(tmp_path) == Settings(language="de")


def test_settings_that_cannot_be_kept_say_so_and_hold(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_text("")
    model = SettingsModel(folder, Settings(), Backlight(tmp_path / "none"), lambda _new: None)
    model.set("theme", "dark")
    assert model.state.settings.theme == "dark"
    assert model.state.what


def test_brightness_is_set_where_a_panel_offers_it(tmp_path: Path) -> None:
    panel = tmp_path / "panel"
    panel.mkdir()
    (panel / "max_brightness").write_text("31\n")
    (panel / "brightness").write_text("31\n")
    light = Backlight(tmp_path)
    assert light.present
    light.set(50)
    assert (panel / "brightness").read_text() == "15"
    assert not Backlight(tmp_path / "none").present


def test_the_light_goes_off_and_comes_back_as_it_was(tmp_path: Path) -> None:
    panel = tmp_path / "panel"
    panel.mkdir()
    (panel / "max_brightness").write_text("31\n")
    brightness = panel / "brightness"
    brightness.write_text("12\n")
    light = Backlight(tmp_path)
    light.wake()
    assert brightness.read_text() == "12\n"
    light.darken()
    assert brightness.read_text() == "0"
    # A screen that was ended in the dark does not stay dark.
    Backlight(tmp_path).wake()
    assert brightness.read_text() == "31"
    light.darken()
    light.darken()
    light.wake()
    assert brightness.read_text() == "31"


def test_a_panel_that_refuses_is_no_reason_to_stop(tmp_path: Path) -> None:
    panel = tmp_path / "panel"
    panel.mkdir()
    (panel / "brightness").write_text("nonsense")
    light = Backlight(tmp_path)
    light.darken()
    light.wake()
    Backlight(tmp_path / "none").darken()
