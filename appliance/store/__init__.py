"""The kit's encrypted database."""

from appliance.store.errors import StoreDamaged, StoreUnavailable
from appliance.store.schema import Tables
from appliance.store.store import Store

__all__ = ["Store", "StoreDamaged", "StoreUnavailable", "Tables"]
