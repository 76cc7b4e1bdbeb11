"""Suggests other dates to a guest whose nights are taken."""

import ctx
from promises import following, person_of

FUNCTION = {
    "aliases": [
        "suggest other dates",
        "propor outras datas",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="sugerir_outras_datas",
        entity_type="message",
        status="executed",
        ok="registar_nota",
        doubt="contactar_cliente",
        no="registar_nota",
        to=person_of(input),
    )
    return ctx.emit(act)
