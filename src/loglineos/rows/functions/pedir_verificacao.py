"""Has somebody look at it: is it so?"""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "ask for verification",
        "request verification",
        "pedir verificação",
        "abrir verificação humana",
        "abrir_verificacao_humana",
        "ask for a check",
        "chamar edge_function.gemini",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="pedir_verificacao",
        entity_type="check",
        status="pending",
        ok="registar_nota",
        doubt="avisar_gerente",
        no="avisar_gerente",
        to="role:manager",
    )
    return ctx.emit(act)
