"""Who this kit is and who holds it: keys, technicians, and what they sign."""

from appliance.identity.issued import IssuedTechnician, RemovedTechnician, issue_technician
from appliance.identity.kit import NewKit, init_kit
from appliance.identity.signing import (
    canonical,
    sign_acknowledgment,
    sign_agreement,
    sign_checks,
    sign_profile,
)
from appliance.identity.tries import FailedTry, failed_tries, forget_failed_tries
from appliance.identity.trust import Recipients
from appliance.identity.unlocking import (
    Technician,
    Unlocked,
    add_technician,
    change_passphrase,
    list_technicians,
    remove_technician,
    renew_trust,
    take_technician,
    unlock,
)
from appliance.identity.wallclock import moment

__all__ = [
    "FailedTry",
    "IssuedTechnician",
    "NewKit",
    "Recipients",
    "RemovedTechnician",
    "Technician",
    "Unlocked",
    "add_technician",
    "canonical",
    "change_passphrase",
    "failed_tries",
    "forget_failed_tries",
    "init_kit",
    "issue_technician",
    "list_technicians",
    "moment",
    "remove_technician",
    "renew_trust",
    "sign_acknowledgment",
    "sign_agreement",
    "sign_checks",
    "sign_profile",
    "take_technician",
    "unlock",
]
