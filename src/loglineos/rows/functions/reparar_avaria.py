"""Has somebody repair what is broken."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "repair fault",
        "repair the fault",
        "fix it",
        "arranjar a avaria",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="reparar_avaria",
        entity_type="repair",
        status="pending",
        ok="registar_nota",
        doubt="avisar_gerente",
        no="abrir_incidente",
        to="role:operator",
    )
    return ctx.emit(act)
