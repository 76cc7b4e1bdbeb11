"""The manifest: what it says, what it grants, and how a wrong one is told."""

from __future__ import annotations

import msgspec
import pytest

from loglineos.base.errors import InvalidInput, UnknownName
from loglineos.ledger.logline import NOT_ACTS
from loglineos.runtime.manifest import (
    LAW_TYPES,
    MANIFEST_ID,
    Manifest,
    check_effect,
    covers,
    manifest_draft,
    parse_manifest,
    with_item,
    with_value,
)

KEY = "ab" * 32


@pytest.mark.parametrize(
    ("pattern", "effect", "is_covered"),
    [
        ("emit", "emit", True),
        ("emit", "emits", False),
        ("*", "http:api.example.org", True),
        ("http:api.example.org", "http:api.example.org", True),
        ("http:api.example.org", "http:api.example.org.evil.test", False),
        ("http:*.example.org", "http:api.example.org", True),
        ("http:*.example.org", "http:example.org", False),
        ("http:*.example.org", "http:evilexample.org", False),
        ("http:*", "http:api.example.org", True),
        ("http:*", "http:", False),
        ("http:*", "secret:bank", False),
        ("secret:*", "secret:bank", True),
        ("secret:ba*", "secret:bank", False),
        ("ledger.read", "ledger", False),
        ("http", "http:api.example.org", False),
    ],
)
def test_a_pattern_covers_exactly_what_it_says(pattern: str, effect: str, is_covered: bool):
    assert covers([pattern], effect) is is_covered
    assert covers([], effect) is False


def test_what_is_declared_and_granted_keeps_the_order_of_the_declaration():
    manifest = Manifest(effects_granted=("emit", "http:*.example.org"))
    assert manifest.granted(["http:a.example.org", "confirm", "emit"]) == (
        "http:a.example.org", "emit",
    )  # fmt: skip


def test_slow_and_too_long_are_two_settings_and_keys_are_spelt_as_the_bluebook_spells_them():
    told = msgspec.to_builtins(parse_manifest({}))
    assert told["policy"]["slow_ms"] != told["timeout_ms"]
    assert {"kernels", "allowed_boot_ids", "throttle", "policy", "override_pubkey_hex"} <= set(told)
    assert "per_tenant_daily_exec_limit" in told["throttle"]


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"throtle": {}}, "manifest"),
        ({"throttle": {"per_tenant_daily_exec_limit": -1}}, "manifest.throttle.per_tenant_daily"),
        ({"throttle": {"per_tenant_daily_exec_limit": "100"}}, "manifest.throttle.per_tenant_da"),
        ({"policy": {"slow_ms": 0}}, "manifest.policy.slow_ms"),
        ({"timeout_ms": 1.5}, "manifest.timeout_ms"),
        ({"trusted_keys": ["AB" * 32]}, "manifest.trusted_keys"),
        ({"trusted_keys": [KEY, "short"]}, "manifest.trusted_keys"),
        ({"override_pubkey_hex": "PUT_YOUR_ADMIN_PUBKEY_HEX_HERE"}, "manifest.override_pubkey"),
        ({"kernels": {"run_code": "bldp00000001"}}, "manifest.kernels"),
        ({"allowed_boot_ids": ["c0c0c0c0-0000-4000-8000-bldp00000001"]}, "manifest.allowed_boot"),
        ({"effects_granted": ["http"]}, "manifest.effects_granted"),
        ({"effects_granted": ["emit:x"]}, "manifest.effects_granted"),
        ({"effects_granted": ["http:a b"]}, "manifest.effects_granted"),
        ([], "manifest"),
    ],
)
def test_a_wrong_manifest_is_refused_by_the_name_of_its_part(value: object, field: str):
    with pytest.raises(InvalidInput) as caught:
        parse_manifest(value)
    assert str(caught.value.fields["field"]).startswith(field)


def test_an_effect_that_does_not_exist_is_answered_with_those_that_do():
    with pytest.raises(UnknownName) as caught:
        check_effect("telepathy", field="effects")
    assert "emit" in str(caught.value.fields["known"])


def test_one_part_is_changed_and_the_rest_stays():
    manifest = Manifest(trusted_keys=(KEY,))
    changed = with_value(manifest, "throttle.per_tenant_per_minute", 60)
    assert changed.throttle.per_tenant_per_minute == 60
    assert with_value(changed, "throttle.per_tenant_per_minute", None) == manifest
    assert with_value(manifest, "kernels.mine", str(MANIFEST_ID)).kernels == {
        "mine": str(MANIFEST_ID)
    }


@pytest.mark.parametrize("path", ["slow_ms", "policy.slow", "throttle", "", "a.b.c", "kernels"])
def test_a_part_that_does_not_exist_cannot_be_changed(path: str):
    with pytest.raises(InvalidInput):
        with_value(Manifest(), path, 5)


def test_an_item_goes_in_once_and_out_again():
    manifest = with_item(Manifest(), "effects_granted", "emit", is_in=True)
    assert with_item(manifest, "effects_granted", "emit", is_in=True) is manifest
    assert with_item(manifest, "effects_granted", "emit", is_in=False) == Manifest()
    with pytest.raises(UnknownName):
        with_item(manifest, "effects_granted", "fly", is_in=True)


def test_the_manifest_comes_back_from_its_record_as_it_was():
    manifest = Manifest(trusted_keys=(KEY,), effects_granted=("emit",))
    draft = manifest_draft(manifest, who="ana", seq=4)
    assert (draft.id, draft.seq, draft.who) == (MANIFEST_ID, 4, "ana")
    assert parse_manifest(draft.metadata) == manifest


def test_what_no_code_may_emit_are_records_that_claim_no_act():
    assert LAW_TYPES <= NOT_ACTS
