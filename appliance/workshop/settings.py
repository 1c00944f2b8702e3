"""What a workshop says of itself: `workshop.toml` in its folder, which may be left out.

```
name = "Bench & Bus"
address = "1 Long Street\\n8001 Cape Town"
phone = "+27 21 555 0100"
whatsapp = "+27825550100"      # its number there; no link is offered without one
```
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from hw.errors import BadInputError

SETTINGS = "workshop.toml"


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """See the module; `address` is where customers send parts to, line by line."""

    name: str = "The workshop"
    address: str = ""
    phone: str = ""
    whatsapp: Annotated[str, Meta(pattern=r"^(\+?[0-9][0-9 ]{5,18})?$")] = ""


def load_settings(folder: Path) -> Settings:
    """The settings of the workshop in a folder.

    Raises:
        BadInputError: the file cannot be read, or a value is wrong.
    """
    path = folder / SETTINGS
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Settings)
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"The workshop's settings {path} cannot be used: {error}.",
            "Correct that line, then start again.",
        ) from error
