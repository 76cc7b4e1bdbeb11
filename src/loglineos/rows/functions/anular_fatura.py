"""Voids an invoice, which stays on record."""

import ctx
from promises import following, person_of

FUNCTION = {
    "aliases": [
        "void invoice",
        "void the invoice",
        "cancelar fatura",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="anular_fatura",
        entity_type="invoice_note",
        status="executed",
        ok="registar_nota",
        doubt="avisar_gerente",
        no="abrir_incidente",
        to=person_of(input),
    )
    return ctx.emit(act)
