"""Sends a payment for processing; it is paid when somebody confirms it."""

import ctx
from promises import amount_of, following

FUNCTION = {
    "aliases": [
        "process payment",
        "process the payment",
        "seguir para pagamento",
        "cobrar",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    amount, currency = amount_of(input)
    details = {"valor": amount, "moeda": currency} if amount is not None else None
    act = following(
        input,
        did="processar_pagamento",
        entity_type="payment",
        status="pending",
        details=details,
        ok="emitir_fatura",
        doubt="verificar_pagamento",
        no="pedir_outro_meio_de_pagamento",
        to="role:operator",
    )
    return ctx.emit(act)
