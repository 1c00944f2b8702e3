"""The coding that a profile names, in the words that a change of coding takes."""

from __future__ import annotations

from appliance.api import messages as m
from appliance.profiles.schema import Coding, Field, Profile


def coding_view(profile: Profile) -> m.CodingView:
    """Every coding DID with its labelled fields and what each field can be."""
    return m.CodingView(
        profile=profile.name,
        title=profile.title,
        writable=profile.code is not None,
        dids=[
            m.CodingDid(
                did=entry.did,
                name=entry.name,
                label=entry.label,
                length=entry.length,
                fields=[_field(entry, field) for field in entry.fields],
            )
            for entry in profile.coding
        ],
    )


def _field(entry: Coding, field: Field) -> m.CodingField:
    return m.CodingField(
        name=field.name,
        label=field.label,
        setting=f"{entry.name}.{field.name}",
        options=[m.CodingOption(value=word, label=_label(word)) for word in field.values],
        min=field.min,
        max=field.max,
        step=abs(field.scale) if not field.values else None,
        unit=field.unit,
    )


def _label(word: str) -> str:
    """A profile gives each value one word, which is its label too."""
    return word.replace("_", " ").replace("-", " ")
