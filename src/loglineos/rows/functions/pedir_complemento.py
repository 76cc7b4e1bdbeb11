"""Asks for what is missing."""

import ctx
from promises import following, person_of

FUNCTION = {
    "aliases": [
        "ask for what is missing",
        "aguardar complemento humano",
        "ask for the rest",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="pedir_complemento",
        entity_type="question",
        status="pending",
        ok="registar_nota",
        doubt="avisar_gerente",
        no="contar_fantasmas",
        to=person_of(input),
    )
    return ctx.emit(act)
