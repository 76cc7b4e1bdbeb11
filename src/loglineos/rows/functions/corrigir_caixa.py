"""Corrects the till, once a second person agrees."""

import ctx
from promises import amount_of, following

FUNCTION = {
    "aliases": [
        "correct the till",
        "correct the cash",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    amount, currency = amount_of(input)
    details = {"valor": amount, "moeda": currency} if amount is not None else None
    act = following(
        input,
        did="corrigir_caixa",
        entity_type="cash_correction",
        status="pending",
        details=details,
        ok="registar_nota",
        doubt="avisar_gerente",
        no="abrir_incidente",
        to="role:manager",
    )
    return ctx.emit(act)
