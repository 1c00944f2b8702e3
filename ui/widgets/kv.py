"""Loading of the KV file that lies beside a module, once."""

from __future__ import annotations

from pathlib import Path

from kivy.lang import Builder


def load(module_file: str) -> None:
    """Load `NAME.kv` for the module `NAME.py`; loading it twice would double every rule."""
    path = str(Path(module_file).with_suffix(".kv"))
    if path not in Builder.files:
        Builder.load_file(path, encoding="utf-8")
