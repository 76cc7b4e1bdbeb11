"""Records a note."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "record note",
        "record a note",
        "take a note",
        "registar uma nota",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="registar_nota",
        entity_type="note",
        status="executed",
    )
    return ctx.emit(act)
