"""How often somebody may try something: counted in the database, for all hubs together."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.workshop.tables import Models


def within(tables: Models, now: float, most: Mapping[str, int], lasting_s: int) -> bool:
    """Count a try; False where there were too many before, and then it is not counted.

    Args:
        tables: of the open transaction.
        now: the hub's clock.
        most: how many tries each of these may have.
        lasting_s: so long a try counts.
    """
    tries = tables.tries
    tries.delete().where(tries.expires < int(now)).execute()
    for who, number in most.items():
        if tries.select().where(tries.who == who).count() >= number:
            return False
    expires = int(now) + lasting_s
    tries.insert_many([{"who": who, "expires": expires} for who in most]).execute()
    return True
