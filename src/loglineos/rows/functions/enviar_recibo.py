"""Sends the receipt of an invoice or delivery to the client."""

import ctx
from promises import amount_of, following, person_of

FUNCTION = {
    "aliases": [
        "send receipt",
        "send the receipt",
        "enviar o recibo",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    amount, currency = amount_of(input)
    details = {"valor": amount, "moeda": currency} if amount is not None else None
    act = following(
        input,
        did="enviar_recibo",
        entity_type="message",
        status="executed",
        details=details,
        ok="registar_nota",
        doubt="contactar_cliente",
        no="avisar_gerente",
        to=person_of(input),
    )
    return ctx.emit(act)
