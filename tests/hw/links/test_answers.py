from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from udsoncan import services

from hw.links.answers import Match, echoes, match, suppresses_answer


@pytest.mark.parametrize(
    ("request_", "answer", "kind"),
    [
        ("1003", "5003003201f4", Match.POSITIVE),
        ("1003", "5001003201f4", Match.STRAY),
        ("22f190", "62f190575556", Match.POSITIVE),
        ("22f190", "62f18c31", Match.STRAY),
        ("22f190f187", "62f18731", Match.POSITIVE),  # an unsupported DID is left out
        ("2ef15a0102", "6ef15a", Match.POSITIVE),
        ("2ef15a0102", "6ef15b", Match.STRAY),
        ("2701", "670111223344", Match.POSITIVE),
        ("2702aabb", "6702", Match.POSITIVE),
        ("2702aabb", "670111223344", Match.STRAY),
        ("3101ff0044", "7101ff0000", Match.POSITIVE),
        ("3103ff00", "7101ff0000", Match.STRAY),
        ("3101ff0044", "7101020200", Match.STRAY),
        ("3601aabb", "7601", Match.POSITIVE),
        ("3602aabb", "7601", Match.STRAY),
        ("34004400", "74200ffe", Match.POSITIVE),
        ("3e00", "7e00", Match.POSITIVE),
        ("3e80", "7e00", Match.POSITIVE),
        ("2f060003ff", "6f060003ff", Match.POSITIVE),
        ("2f060003ff", "6f060000", Match.STRAY),
        ("3d2220001000aa55", "7d2220001000", Match.POSITIVE),
        ("3d2220001000aa55", "7d2220001001", Match.STRAY),
        ("22f190", "7f2231", Match.NEGATIVE),
        ("22f190", "7f2278", Match.PENDING),
        ("22f190", "7f2e31", Match.STRAY),
        ("22f190", "7f22", Match.STRAY),
        ("22f190", "7f", Match.STRAY),
        ("22f190", "62", Match.STRAY),
        ("22f190", "", Match.STRAY),
        ("0100", "4100be1fa813", Match.POSITIVE),
        ("0902", "490201", Match.POSITIVE),
        ("0902", "490401", Match.STRAY),
        ("14ffffff", "54", Match.POSITIVE),
        ("37", "77", Match.POSITIVE),
    ],
)
def test_an_answer_is_told_by_service_and_echo(request_: str, answer: str, kind: Match) -> None:
    assert match(bytes.fromhex(request_), bytes.fromhex(answer)) is kind


def test_services_with_a_sub_function_are_those_of_udsoncan() -> None:
    ours = {sid for sid in range(0x10, 0x90) if suppresses_answer(bytes((sid, 0x80)))}
    theirs = {
        vars(service)["_sid"]
        for service in vars(services).values()
        if isinstance(service, type) and getattr(service, "_use_subfunction", False)
    }
    # udsoncan calls ReadDataByPeriodicIdentifier's transmission mode no sub-function, as we do.
    assert theirs <= ours


@given(st.binary(min_size=1, max_size=20), st.binary(max_size=20))
def test_matching_never_fails_and_an_echo_is_always_positive(request_: bytes, tail: bytes) -> None:
    for echo in echoes(request_):
        if echo[0] != 0x7F:
            assert match(request_, echo + tail) is Match.POSITIVE
    match(request_, tail)


@given(st.binary(min_size=1, max_size=20), st.binary(min_size=1, max_size=20))
def test_an_answer_to_one_service_is_never_taken_for_another(one: bytes, two: bytes) -> None:
    if one[0] != two[0] and echoes(one)[0][0] != 0x7F:
        assert match(two, echoes(one)[0]) is Match.STRAY
