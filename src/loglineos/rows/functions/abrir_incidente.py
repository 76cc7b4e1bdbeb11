"""Opens an incident, which waits for somebody to deal with it."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "open incident",
        "open an incident",
        "report incident",
        "abrir um incidente",
        "marcar como entrega fantasma",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="abrir_incidente",
        entity_type="incident",
        status="pending",
        ok="oferecer_compensacao",
        doubt="avisar_gerente",
        no="registar_nota",
        to="role:manager",
    )
    return ctx.emit(act)
