"""The KV files together: Kivy finds a rule by the bare name of a class, whatever its module."""

from __future__ import annotations

import re
from collections import Counter

from tests.stack import ROOT


def test_no_two_rules_have_the_same_name() -> None:
    rules = [
        rule
        for file in sorted((ROOT / "ui").rglob("*.kv"))
        for rule in re.findall(r"^<([^>@]+)", file.read_text(), re.MULTILINE)
    ]
    assert [rule for rule, count in Counter(rules).items() if count > 1] == []
