"""Issues the invoice of a stay."""

import ctx
from promises import amount_of, following, person_of

FUNCTION = {
    "aliases": [
        "issue invoice of the stay",
        "issue the stay's invoice",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    amount, currency = amount_of(input)
    details = {"valor": amount, "moeda": currency} if amount is not None else None
    act = following(
        input,
        did="emitir_fatura_estadia",
        entity_type="invoice",
        status="executed",
        details=details,
        ok="receber_pagamento_estadia",
        doubt="verificar_pagamento",
        no="anular_fatura",
        to=person_of(input),
        kind="contract",
    )
    return ctx.emit(act)
