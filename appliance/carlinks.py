"""The simulated car's links in the kit's configuration: its ports are others at each start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from appliance.durable import write_durably
from hw.config import load_config
from hw.errors import UnavailableError

MARK = "# Links of the simulated car. What stands below this line is written anew at each start.\n"
_KINDS = {"can": "CAN", "doip": "DoIP"}


def write_car_links(state: Path, car: dict[str, Any]) -> None:
    """Put the simulated car's links at the end of `kit.toml`, in place of those of its last start.

    Args:
        state: the kit's state folder.
        car: what the simulated car announced.

    Raises:
        BadInputError: the configuration is wrong.
        UnavailableError: it cannot be written.
    """
    load_config(state)  # What is wrong is told before anything is added to it.
    path = state / "kit.toml"
    links = "\n".join(
        f"[[links]]\nname = {json.dumps(name)}\nuri = {json.dumps(uri)}\n"
        for name, uri in _links(car)
    )
    try:
        own, _, _ = path.read_text(encoding="utf-8").partition(MARK)
        text = f"{own.rstrip()}\n\n{MARK}\n{links}"
        write_durably(path, text.encode(), 0o644)
    except OSError as error:
        raise UnavailableError(
            f"The simulated car's links cannot be written to {path}: {error.strerror}.",
            "Make room, or give this user the right to write there.",
        ) from error


def _links(car: dict[str, Any]) -> Iterator[tuple[str, str]]:
    ecus: dict[str, dict[str, str]] = car.get("ecus", {})
    for ecu, links in ecus.items():
        for kind, uri in links.items():
            yield f"{ecu}, {_KINDS.get(kind, kind)} (simulated)", uri
    if discovery := car.get("discovery"):
        yield "Whole vehicle, DoIP (simulated)", discovery
