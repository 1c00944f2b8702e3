"""The simulated car's links in kit.toml: written anew at each start, beside what is one's own."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from appliance import carlinks
from appliance.carlinks import write_car_links
from appliance.service.links import is_discovery
from hw.config import load_config
from hw.errors import BadInputError, UnavailableError

TOML = """# my kit
[voltage]
sensor = "ina219:///dev/i2c-1/0x40"
[media]
a = "/media/a"
b = "/media/b"
[[links]]  # typed by a person
name = "My car"
uri = "can://socketcan/can0?tx=0x7E0&rx=0x7E8"
"""


def car(port: int) -> dict[str, Any]:
    return {
        "ecus": {
            "engine": {
                "doip": f"doip://127.0.0.1:{port}?target=0x0010&source=0x0E00",
                "can": f"can://socketcand/127.0.0.1:{port}/can0?tx=0x7E0&rx=0x7E8",
            }
        },
        "discovery": f"doip://127.0.0.1:{port}",
    }


def test_links_are_replaced_at_each_start_and_ones_own_stay(tmp_path: Path) -> None:
    path = tmp_path / "kit.toml"
    path.write_text(TOML)
    write_car_links(tmp_path, car(1111))
    write_car_links(tmp_path, car(2222))
    links = load_config(tmp_path).links
    assert [link.name for link in links] == [
        "My car",
        "engine, DoIP (simulated)",
        "engine, CAN (simulated)",
        "Whole vehicle, DoIP (simulated)",
    ]
    assert "1111" not in path.read_text()
    assert path.read_text().startswith(TOML)
    assert [is_discovery(link.uri) for link in links] == [False, False, False, True]


def test_a_wrong_configuration_is_told_and_not_made_longer(tmp_path: Path) -> None:
    (tmp_path / "kit.toml").write_text(TOML.replace("can://", "//"))
    with pytest.raises(BadInputError, match=r"links\[0\].uri|uri"):
        write_car_links(tmp_path, car(1))
    assert "simulated" not in (tmp_path / "kit.toml").read_text()


def test_a_full_card_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "kit.toml").write_text(TOML)
    monkeypatch.setattr(carlinks, "write_durably", full)
    with pytest.raises(UnavailableError, match="No space left"):
        write_car_links(tmp_path, car(1))
