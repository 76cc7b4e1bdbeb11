"""Cancels an order."""

import ctx
from promises import following, person_of

FUNCTION = {
    "aliases": [
        "cancel order",
        "cancel the order",
        "cancelar o pedido",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="cancelar_pedido",
        entity_type="cancellation",
        status="executed",
        ok="enviar_mensagem",
        doubt="contactar_cliente",
        no="avisar_gerente",
        to=person_of(input),
    )
    return ctx.emit(act)
