"""Asks the client for another means of payment."""

import ctx
from promises import following, person_of

FUNCTION = {
    "aliases": [
        "ask for another means of payment",
        "ask for another card",
        "pedir outro cartão",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="pedir_outro_meio_de_pagamento",
        entity_type="message",
        status="executed",
        ok="registar_nota",
        doubt="contactar_cliente",
        no="cancelar_pedido",
        to=person_of(input),
    )
    return ctx.emit(act)
