"""Offers to keep the luggage until the evening."""

import ctx
from promises import following, person_of

FUNCTION = {
    "aliases": [
        "offer to keep the luggage",
        "guardar as malas",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="propor_guarda_malas",
        entity_type="message",
        status="executed",
        ok="registar_nota",
        doubt="contactar_cliente",
        no="avisar_gerente",
        to=person_of(input),
    )
    return ctx.emit(act)
