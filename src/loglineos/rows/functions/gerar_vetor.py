"""Queues content for the search by meaning."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "make vector",
        "make the vector",
        "index content",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="gerar_vetor",
        entity_type="vector",
        status="pending",
        ok="moderar_conteudo",
        doubt="avisar_gerente",
        no="avisar_autor",
    )
    return ctx.emit(act)
