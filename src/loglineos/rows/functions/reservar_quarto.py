"""Keeps a room for a guest, once the desk confirms it."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "reserve room",
        "reserve a room",
        "book a room",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="reservar_quarto",
        entity_type="reservation",
        status="pending",
        ok="fazer_check_in",
        doubt="contactar_cliente",
        no="sugerir_outras_datas",
        to="role:operator",
        kind="intent",
    )
    return ctx.emit(act)
