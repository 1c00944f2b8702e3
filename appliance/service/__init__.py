"""The service behind the API: knows the job. No HTTP in here, and no way to a car but hw."""

from appliance.service.service import Service

__all__ = ["Service"]
