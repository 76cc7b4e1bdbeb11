"""Tells the manager."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "tell the manager",
        "warn the manager",
        "notify the manager",
        "avisar o gerente",
        "avisar a gerente",
        "chamar o gerente",
        "chamar a gerência",
        "avisar gerente turno",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="avisar_gerente",
        entity_type="notice",
        status="executed",
        ok="registar_nota",
        doubt="contactar_cliente",
        no="abrir_incidente",
        to="role:manager",
    )
    return ctx.emit(act)
