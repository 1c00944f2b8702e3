"""The risk text: the exact words that the technician reads and signs.

The profile gives the sentences per risk class. Whatever they are, what is written (with its
SHA-256) and which erased bytes stay empty is always said.
"""

from __future__ import annotations

from collections.abc import Sequence

from appliance.plans.compiled import PlanError
from appliance.plans.layout import EraseRange
from appliance.profiles.schema import RISK_WORD, Profile
from hw.plan import Risk, RiskClass, VoltageWindow


def risk_of(
    profile: Profile,
    risk_class: RiskClass,
    *,
    job: str,
    what: str,
    ranges: Sequence[EraseRange] = (),
) -> Risk:
    """Fill in the profile's text of a risk class.

    Raises:
        PlanError: the profile has no text of this class, so nobody could know what they sign.
    """
    template = profile.risk.template(risk_class)
    if not template or profile.voltage is None:
        raise PlanError(
            f"The profile {profile.name} allows no {risk_class}.",
            "Choose a profile that has a risk text and a voltage window for it.",
        )
    gaps = gap_text(ranges)
    words = {
        "job": job,
        "ecu": profile.ecu,
        "profile": profile.name,
        "what": what,
        "gaps": f"{gaps}\n" if gaps else "",
        "window": window_text(profile.voltage),
    }
    text = RISK_WORD.sub(lambda found: words[found[1]], template).strip()
    if gaps and gaps not in text:
        text = f"{text}\n{gaps}"
    return Risk(risk_class=risk_class, text=text)


def gap_text(ranges: Sequence[EraseRange]) -> str:
    """Which erased bytes the file does not hold; empty where there are none."""
    sentences = []
    for one in ranges:
        erased = one.region.write.erased_value if one.region.write else 0xFF
        sentences += [
            f"{length} bytes from 0x{address:08X} are erased and not in the file: "
            f"they read as 0x{erased:02X} afterwards."
            for address, length in one.gaps
        ]
    return " ".join(sentences)


def window_text(window: VoltageWindow) -> str:
    """The supply limits as a sentence."""
    return (
        f"The supply must stay above {window.hold_v:g} V; below {window.cut_v:g} V or above "
        f"{window.over_v:g} V the write is cut."
    )
