"""Alerts the courier of a delivery."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "alert the courier",
        "warn the courier",
        "estafeta executa",
        "avisar o estafeta",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="alertar_estafeta",
        entity_type="notice",
        status="executed",
        ok="registar_nota",
        doubt="avisar_gerente",
        no="avisar_gerente",
        to="role:courier",
    )
    return ctx.emit(act)
