"""Offers the client something for the trouble, once a person agrees."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "offer compensation",
        "offer a compensation",
        "compensar o cliente",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="oferecer_compensacao",
        entity_type="compensation",
        status="pending",
        ok="enviar_mensagem",
        doubt="avisar_gerente",
        no="contactar_cliente",
        to="role:manager",
    )
    return ctx.emit(act)
