"""Asks for the payment of a stay; it is paid when somebody confirms it."""

import ctx
from promises import amount_of, following

FUNCTION = {
    "aliases": [
        "receive payment of the stay",
        "take the stay's payment",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    amount, currency = amount_of(input)
    details = {"valor": amount, "moeda": currency} if amount is not None else None
    act = following(
        input,
        did="receber_pagamento_estadia",
        entity_type="payment",
        status="pending",
        details=details,
        ok="enviar_recibo",
        doubt="verificar_pagamento",
        no="abrir_incidente",
        to="role:operator",
    )
    return ctx.emit(act)
