"""`logline forget`: the key of a person's fields is destroyed; every proof still holds."""

# ruff: noqa: E501 - what an option means stands in one line
from __future__ import annotations

from typing import Annotated, Final

from loglineos.base.language import Text
from loglineos.faces.cli.prompts import require_yes
from loglineos.faces.cli.records import record_document
from loglineos.faces.cli.session import Session
from loglineos.ledger.personal import forget as destroy_key


async def forget(
    session: Session,
    subject: Annotated[
        str, Text("a pessoa, pelo nome dado em --personal", "the person, by the name given in --personal")
    ],
    /,
    *,
    yes: Annotated[bool, Text("sem perguntar", "without asking")] = False,
) -> None:  # fmt: skip
    """Forget a person; there is no way back."""
    require_yes(session, _FORGETTING, yes=yes, subject=subject)
    async with session.node() as node:
        record = await destroy_key(
            node.writer,
            tenant=session.tenant,
            subject=subject,
            by=session.actor,
            guard=node.settings.guard_folder,
        )
    document = record_document(record, session.language)
    session.answer(document, session.text(_FORGOTTEN, subject=subject))
    session.note(_BACKUPS)


_FORGETTING: Final = Text(
    "o que é pessoal de {subject} deixa de se poder ler, para sempre e para todos",
    "what is personal of {subject} can be read no more, ever, by anyone",
)
_FORGOTTEN: Final = Text("{subject} está esquecido", "{subject} is forgotten")
_BACKUPS: Final = Text(
    "Cópias feitas antes ainda têm a chave: apague-as ou refaça-as.",
    "Backups made before still hold the key: delete or remake them.",
)
