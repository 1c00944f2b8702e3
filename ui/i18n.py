"""The screen's languages: catalogues of gettext in `ui/locale`, English sentences as their keys.

KV files import `_`; Python imports it, too. What is on the screen does not change by itself: it is
built anew when the language changes.
"""

from __future__ import annotations

import gettext
from pathlib import Path

DOMAIN = "fieldkit"
FOLDER = Path(__file__).parent / "locale"

LANGUAGES: dict[str, str] = {"en": "English", "af": "Afrikaans", "de": "Deutsch"}
"""Code and own name of every language."""

_texts: gettext.NullTranslations = gettext.NullTranslations()
_language = "en"


def use(language: str) -> None:
    """Change the language of every text that is asked for from now on.

    Raises:
        KeyError: it is none of `LANGUAGES`.
        FileNotFoundError: its catalogue is not installed.
    """
    global _texts, _language  # noqa: PLW0603 - one screen, one language
    if language not in LANGUAGES:
        raise KeyError(language)
    _texts = gettext.translation(DOMAIN, FOLDER, [language])
    _language = language


def language() -> str:
    """Code of the language in use."""
    return _language


def _(message: str) -> str:
    """One text in the language in use; an empty one stays empty (gettext has its header there)."""
    return _texts.gettext(message) if message else ""


def n_(message: str) -> str:
    """Mark a text for the catalogue where it is written; `_` translates it where it is shown."""
    return message
