"""Issues the invoice of what was paid."""

import ctx
from promises import amount_of, following, person_of

FUNCTION = {
    "aliases": [
        "issue invoice",
        "issue the invoice",
        "create invoice",
        "criar fatura",
        "emitir a fatura",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    amount, currency = amount_of(input)
    details = {"valor": amount, "moeda": currency} if amount is not None else None
    act = following(
        input,
        did="emitir_fatura",
        entity_type="invoice",
        status="executed",
        details=details,
        ok="enviar_recibo",
        doubt="verificar_pagamento",
        no="anular_fatura",
        to=person_of(input),
        kind="contract",
    )
    return ctx.emit(act)
