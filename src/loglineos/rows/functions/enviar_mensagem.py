"""Sends a message to the client."""

import ctx
from promises import following, person_of

FUNCTION = {
    "aliases": [
        "send message",
        "send a message",
        "enviar uma mensagem",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="enviar_mensagem",
        entity_type="message",
        status="executed",
        ok="registar_nota",
        doubt="contactar_cliente",
        no="avisar_gerente",
        to=person_of(input),
    )
    return ctx.emit(act)
