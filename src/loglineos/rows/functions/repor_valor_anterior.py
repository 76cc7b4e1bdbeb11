"""Restores the value before a change, once a person agrees."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "restore previous value",
        "restore the previous value",
        "undo the change",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="repor_valor_anterior",
        entity_type="restoration",
        status="pending",
        ok="registar_nota",
        doubt="avisar_gerente",
        no="abrir_incidente",
        to="role:manager",
    )
    return ctx.emit(act)
