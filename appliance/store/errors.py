"""Errors of the database."""

from __future__ import annotations

from hw.errors import BadInputError, UnavailableError

KEEP_IT = (
    "Keep the file and give it to the workshop; backups on the media and exported records can be "
    "used without it."
)


class StoreDamaged(BadInputError):
    """The database is damaged, not this kit's, or of another version. Nothing was changed in it."""

    code = "store_damaged"


class StoreUnavailable(UnavailableError):
    """The database cannot be reached or written now. What was asked was not recorded."""

    code = "store_unavailable"
