"""`logline manifest` and `logline genesis`: the law of the house, and what it is given."""

# ruff: noqa: E501 - one option or text a line reads as a table
from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec

from loglineos.base.language import Text
from loglineos.faces.cli.prompts import require_yes
from loglineos.faces.cli.render import local_time
from loglineos.faces.cli.session import Session
from loglineos.faces.cli.tables import facts
from loglineos.ledger.record import Json, Record
from loglineos.runtime.governing import change_manifest, read_manifest
from loglineos.runtime.manifest import Manifest, check_effect, parse_manifest, with_item, with_value


async def show_manifest(session: Session) -> None:
    """Show the manifest, after checking that the root key signed it."""
    async with session.node() as node:
        await node.genesis(session.tenant)
        record, manifest = await read_manifest(node.writer, session.tenant)
    _answer(session, record, manifest)


async def set_part(
    session: Session,
    key: Annotated[str, Text("a parte, p. ex. policy.slow_ms", "the part, e.g. policy.slow_ms")],
    value: Annotated[str, Text("o valor, em JSON; o que não for JSON é texto", "the value, as JSON; what is no JSON is text")],
    /,
) -> None:  # fmt: skip
    """Change one part of the manifest; the same value again changes nothing."""
    wanted = _json(value)
    await _change(session, lambda manifest: with_value(manifest, key, wanted))


async def trust_key(
    session: Session,
    key: Annotated[str, Text("a chave pública, em hexadecimal", "the public key, in hex")],
    /,
) -> None:
    """Trust the code that a key signs; the key must be enrolled in the house as well."""
    await _change(session, lambda manifest: with_item(manifest, "trusted_keys", key, is_in=True))


async def distrust_key(
    session: Session,
    key: Annotated[str, Text("a chave pública, em hexadecimal", "the public key, in hex")],
    /,
    *,
    yes: Annotated[bool, Text("sem perguntar", "without asking")] = False,
) -> None:
    """Trust no more what a key signed."""
    require_yes(session, _DISTRUSTING, yes=yes, key=key[:16])
    await _change(session, lambda manifest: with_item(manifest, "trusted_keys", key, is_in=False))


async def grant_effect(
    session: Session,
    effect: Annotated[str, Text("o efeito, p. ex. http:api.example.org, ou um padrão", "the effect, e.g. http:api.example.org, or a pattern")],
    /,
) -> None:  # fmt: skip
    """Grant an effect."""
    check_effect(effect, field="effect")
    await _change(
        session, lambda manifest: with_item(manifest, "effects_granted", effect, is_in=True)
    )


async def revoke_effect(
    session: Session,
    effect: Annotated[str, Text("o efeito ou padrão, tal como foi concedido", "the effect or pattern, as it was granted")],
    /,
) -> None:  # fmt: skip
    """Take an effect back: the next call of it is refused, in runs under way too."""
    await _change(
        session, lambda manifest: with_item(manifest, "effects_granted", effect, is_in=False)
    )


async def give_rows(session: Session) -> None:
    """Give the house the rows that come with the product, and compare each of them."""
    async with session.node() as node:
        report = await node.genesis(session.tenant, is_thorough=True)

    def human() -> Any:
        told = session.text(_GIVEN, written=len(report.written), unchanged=report.unchanged)
        kept = [(session.text(_KEPT), name) for name in report.kept]
        return facts(
            [
                (session.text(_ROWS), told),
                *((session.text(_WRITTEN), n) for n in report.written),
                *kept,
            ]
        )

    session.answer({"tenant": session.tenant, **msgspec.to_builtins(report)}, human)


async def _change(session: Session, change: Callable[[Manifest], Manifest]) -> None:
    async with session.node() as node:
        await node.genesis(session.tenant)
        record, is_new = await change_manifest(
            node.writer, session.tenant, change, who=session.actor
        )
    manifest = parse_manifest(record.metadata)
    _answer(session, record, manifest, is_new=is_new)
    session.note(_CHANGED if is_new else _UNCHANGED)


def _answer(
    session: Session, record: Record, manifest: Manifest, *, is_new: bool | None = None
) -> None:
    whole = msgspec.to_builtins(manifest)
    document = {
        "tenant": session.tenant, "seq": record.seq, "position": record.position,
        "who": record.who, "signed_by": record.public_key, "manifest": whole,
    }  # fmt: skip
    if is_new is not None:
        document["is_new"] = is_new
    said = f"seq {record.seq}, {record.who}, {local_time(record.at, session.settings.zone)}"
    pairs = [(session.text(_MANIFEST), said), *_flat(whole)]
    session.answer(document, lambda: facts(pairs))


def _flat(part: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in part.items():
        if isinstance(value, dict):
            found += _flat(value, f"{before}{name}.")
        elif isinstance(value, list | tuple):
            found.append((before + name, ", ".join(map(str, value)) or "—"))
        else:
            found.append(
                (
                    before + name,
                    "—" if value is None else msgspec.json.encode(value).decode().strip('"'),
                )
            )
    return found


def _json(text: str) -> Json:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


_DISTRUSTING: Final = Text(
    "todo o código que a chave {key}… assinou deixa de correr, também o que já está no registo",
    "all code that the key {key}… signed runs no more, what is recorded already included",
)
_CHANGED: Final = Text(
    "o manifesto mudou; assinou-o a chave raiz", "the manifest changed; the root key signed it"
)
_UNCHANGED: Final = Text("já era assim; nada mudou", "it was like this already; nothing changed")
_MANIFEST: Final = Text("manifesto", "manifest")
_ROWS: Final = Text("linhas do produto", "rows of the product")
_GIVEN: Final = Text(
    "{written} escritas, {unchanged} já lá estavam", "{written} written, {unchanged} there already"
)
_WRITTEN: Final = Text("escrita", "written")
_KEPT: Final = Text("fica a da casa", "the house's own stays")
