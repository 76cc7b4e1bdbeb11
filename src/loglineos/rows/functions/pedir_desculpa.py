"""Apologises to whoever was let down."""

import ctx
from promises import following, person_of

FUNCTION = {
    "aliases": [
        "apologise",
        "apologize",
        "pedir desculpas",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="pedir_desculpa",
        entity_type="message",
        status="executed",
        ok="registar_nota",
        doubt="contactar_cliente",
        no="avisar_gerente",
        to=person_of(input),
    )
    return ctx.emit(act)
