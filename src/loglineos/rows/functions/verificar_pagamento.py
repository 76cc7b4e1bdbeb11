"""Has somebody check a payment."""

import ctx
from promises import amount_of, following

FUNCTION = {
    "aliases": [
        "check payment",
        "check the payment",
        "verify payment",
        "perguntar ao banco",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    amount, currency = amount_of(input)
    details = {"valor": amount, "moeda": currency} if amount is not None else None
    act = following(
        input,
        did="verificar_pagamento",
        entity_type="check",
        status="pending",
        details=details,
        ok="registar_nota",
        doubt="avisar_gerente",
        no="abrir_incidente",
        to="role:operator",
    )
    return ctx.emit(act)
