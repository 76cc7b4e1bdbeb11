"""Has somebody look at content before it is published."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "moderate content",
        "moderate the content",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="moderar_conteudo",
        entity_type="moderation",
        status="pending",
        ok="publicar_conteudo",
        doubt="gerar_pergunta",
        no="avisar_autor",
        to="role:operator",
    )
    return ctx.emit(act)
