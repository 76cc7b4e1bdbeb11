"""Records that a question was answered."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "answer question",
        "answer the question",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="responder_pergunta",
        entity_type="answer",
        status="executed",
    )
    return ctx.emit(act)
