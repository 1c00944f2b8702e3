"""What the kit knows of each ECU: signed data files, never code."""

from appliance.profiles.loader import (
    LoadedProfile,
    check_link,
    install_shipped_profiles,
    load_profile,
    make_windows,
    parse_profile,
    shipped_names,
)
from appliance.profiles.schema import Profile, text_of

__all__ = [
    "LoadedProfile",
    "Profile",
    "check_link",
    "install_shipped_profiles",
    "load_profile",
    "make_windows",
    "parse_profile",
    "shipped_names",
    "text_of",
]
