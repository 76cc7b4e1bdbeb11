"""Alerts the manager: something needs a look now."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "alert the manager",
        "alert manager",
        "gerar alerta",
        "raise an alert",
        "alertar responsável",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="alertar_gerente",
        entity_type="notice",
        status="executed",
        ok="registar_nota",
        doubt="contactar_cliente",
        no="abrir_incidente",
        to="role:manager",
    )
    return ctx.emit(act)
