"""Publishes content that was let through."""

import ctx
from promises import following, person_of

FUNCTION = {
    "aliases": [
        "publish content",
        "publish the content",
        "liberar conteúdo",
        "liberar_conteudo",
        "exibir em tv",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="publicar_conteudo",
        entity_type="publication",
        status="executed",
        ok="registar_nota",
        doubt="avisar_gerente",
        no="avisar_autor",
        to=person_of(input),
    )
    return ctx.emit(act)
