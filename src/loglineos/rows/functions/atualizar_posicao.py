"""Records where a courier is asked to be seen again."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "update position",
        "update the position",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="atualizar_posicao",
        entity_type="position",
        status="pending",
        ok="registar_nota",
        doubt="avisar_gerente",
        no="avisar_gerente",
        to="role:courier",
    )
    return ctx.emit(act)
