"""Has somebody call the client; it is done when they confirm."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "contact the client",
        "call the client",
        "ligar ao cliente",
        "contactar o cliente",
        "acionar atendente",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="contactar_cliente",
        entity_type="contact",
        status="pending",
        ok="registar_nota",
        doubt="avisar_gerente",
        no="registar_nota",
        to="role:operator",
    )
    return ctx.emit(act)
