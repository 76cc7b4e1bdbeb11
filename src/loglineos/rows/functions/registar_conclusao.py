"""Records that it is done."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "record completion",
        "mark as done",
        "registrar_como_concluido",
        "registrar como entrega confirmada",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="registar_conclusao",
        entity_type="note",
        status="executed",
    )
    return ctx.emit(act)
