"""Tells the client."""

import ctx
from promises import following, person_of

FUNCTION = {
    "aliases": [
        "tell the client",
        "notify the client",
        "warn the client",
        "avisar o cliente",
        "seguir processamento",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="avisar_cliente",
        entity_type="message",
        status="executed",
        ok="registar_nota",
        doubt="avisar_gerente",
        no="avisar_gerente",
        to=person_of(input),
    )
    return ctx.emit(act)
