"""Violations: a record for each time that the law said no, in words and with what it is about."""

# ruff: noqa: E501 - one text a line reads as a table
from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from loglineos.base.language import Text
from loglineos.ledger.record import Draft
from loglineos.runtime.ids import derived_id


def violation_draft(
    law: str,
    *,
    who: str,
    said: Text | dict[str, str],
    which: UUID | None = None,
    key: str | None = None,
    cause: UUID | None = None,
    trace_id: str | None = None,
    **details: Any,
) -> Draft:
    """Draft the record of what was refused: `law` is its stable code, like `loop.depth`.

    `which` is the entity that was refused. With `key`, the same refusal of the same thing is the
    same record: append it with `if_absent`. `details` are figures, like `limit` and `used`.
    """
    words = {"pt": said.pt, "en": said.en} if isinstance(said, Text) else said
    identity = None if key is None else derived_id("policy_violation", law, str(which), key)
    return Draft(
        id=identity, seq=None if identity is None else 0, entity_type="policy_violation", who=who,
        did="block", this=law, status="error", related_to=None if which is None else (which,),
        cause_id=cause, trace_id=trace_id, metadata={"said": words, **details},
    )  # fmt: skip


# fmt: off
REFUSALS: Final[dict[str, Text]] = {
    "house.unfounded": Text("o primeiro registo da casa não é a sua fundação", "the first record of the house is not its founding"),
    "house.foreign_root": Text("a raiz desta casa não é a deste nó", "the root of this house is not this node's"),
    "manifest.missing": Text("a casa não tem manifesto", "the house has no manifest"),
    "manifest.foreign": Text("o manifesto não é desta casa, ou não está em vigor", "the manifest is not of this house, or not in force"),
    "manifest.tampered": Text("o manifesto foi alterado depois de assinado", "the manifest was changed after it was signed"),
    "manifest.not_by_root": Text("o manifesto não está assinado pela chave raiz", "the manifest is not signed by the root key"),
    "manifest.unreadable": Text("o manifesto não se entende", "the manifest cannot be read"),
    "boot.unknown": Text("o manifesto não nomeia este kernel", "the manifest names no such kernel"),
    "boot.not_allowed": Text("o manifesto não deixa arrancar este id", "the manifest does not allow this id to boot"),
    "boot.missing": Text("o kernel não está no registo", "the kernel is not in the registry"),
    "code.foreign": Text("o código não é desta casa", "the code is not of this house"),
    "code.tampered": Text("o código foi alterado depois de assinado", "the code was changed after it was signed"),
    "code.other_bytes": Text("code_hash não é o hash do código", "code_hash is not the hash of the code"),
    "code.untrusted_author": Text("quem assinou o código não está entre as chaves do manifesto", "whoever signed the code is not among the manifest's keys"),
    "code.unknown_key": Text("a chave que assinou o código não está inscrita na casa", "the key that signed the code is not enrolled in the house"),
    "code.revoked_key": Text("a chave que assinou o código já não o podia fazer", "the key that signed the code could no longer do so"),
    "code.withdrawn": Text("o código foi retirado", "the code was withdrawn"),
    "code.unreadable": Text("o registo não define uma função", "the record defines no function"),
}
# fmt: on
"""Why Stage-0 refuses, by the code that its violations carry in `this`."""

REMEDY: Final = Text(
    "veja a violação com `logline timeline --entity-type policy_violation`, confira a casa com "
    "`logline verify`, e o manifesto com `logline manifest show`",
    "see the violation with `logline timeline --entity-type policy_violation`, check the house "
    "with `logline verify`, and the manifest with `logline manifest show`",
)
