"""Queues the thumbnail of an image or video."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "make thumbnail",
        "make the thumbnail",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="gerar_miniatura",
        entity_type="job",
        status="pending",
        ok="registar_nota",
        doubt="verificar_saude",
        no="alertar_gerente",
    )
    return ctx.emit(act)
