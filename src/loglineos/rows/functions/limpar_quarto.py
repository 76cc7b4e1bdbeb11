"""Has a room cleaned."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "clean room",
        "clean the room",
        "limpar de novo",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="limpar_quarto",
        entity_type="cleaning",
        status="pending",
        ok="registar_nota",
        doubt="avisar_gerente",
        no="avisar_gerente",
        to="role:operator",
    )
    return ctx.emit(act)
