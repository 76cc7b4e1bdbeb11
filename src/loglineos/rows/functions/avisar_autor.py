"""Tells whoever made it what became of it."""

import ctx
from promises import following, person_of

FUNCTION = {
    "aliases": [
        "tell the author",
        "notify the author",
        "retornar_erro_ao_usuario",
        "avisar o autor",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="avisar_autor",
        entity_type="message",
        status="executed",
        ok="registar_nota",
        doubt="contactar_cliente",
        no="avisar_gerente",
        to=person_of(input),
    )
    return ctx.emit(act)
