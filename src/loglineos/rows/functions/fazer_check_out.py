"""Prepares the check-out of a guest; it is done when the desk confirms it."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "check out",
        "do the check-out",
        "dar saída",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="fazer_check_out",
        entity_type="checkout",
        status="pending",
        ok="emitir_fatura_estadia",
        doubt="verificar_pagamento",
        no="avisar_gerente",
        to="role:operator",
    )
    return ctx.emit(act)
