"""Publishes the menu."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "publish menu",
        "publish the menu",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="publicar_ementa",
        entity_type="publication",
        status="executed",
        ok="registar_nota",
        doubt="contactar_cozinha",
        no="contactar_cozinha",
    )
    return ctx.emit(act)
