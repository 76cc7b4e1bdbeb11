"""Has somebody speak with the kitchen."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "contact the kitchen",
        "call the kitchen",
        "falar com a cozinha",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="contactar_cozinha",
        entity_type="contact",
        status="pending",
        ok="registar_nota",
        doubt="avisar_gerente",
        no="avisar_gerente",
        to="role:operator",
    )
    return ctx.emit(act)
