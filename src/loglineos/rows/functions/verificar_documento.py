"""Has somebody check a guest's document."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "check document",
        "check the document",
        "ver o documento",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="verificar_documento",
        entity_type="check",
        status="pending",
        ok="registar_nota",
        doubt="avisar_gerente",
        no="avisar_gerente",
        to="role:operator",
    )
    return ctx.emit(act)
