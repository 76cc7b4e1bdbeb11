"""Prepares the check-in of a guest; it is done when the desk confirms it."""

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "check in",
        "do the check-in",
        "dar a chave",
        "dar entrada",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    act = following(
        input,
        did="fazer_check_in",
        entity_type="stay",
        status="pending",
        ok="fazer_check_out",
        doubt="verificar_documento",
        no="avisar_gerente",
        to="role:operator",
    )
    return ctx.emit(act)
