"""Asks the one whose matter it is whether it is so."""

import ctx
from promises import following, person_of

FUNCTION = {
    "aliases": [
        "ask a question",
        "ask question",
        "perguntar",
        "fazer uma pergunta",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="gerar_pergunta",
        entity_type="question",
        status="pending",
        ok="responder_pergunta",
        doubt="contactar_cliente",
        no="avisar_gerente",
        to=person_of(input),
    )
    return ctx.emit(act)
