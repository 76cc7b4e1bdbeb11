"""Answers a failure: has failed work tried once more in ten minutes, and records what was done.

An execution that is out of attempts is asked for again, once; an act that failed is put before the
manager. What failed twice is not tried a third time.
"""

import ctx
from promises import following, span_of, what_of

FUNCTION = {
    "aliases": [
        "autocorrigir_falha",
        "autocorrigir",
        "auto correct",
        "tentar novamente",
        "try again",
    ],
    "effects": ["ledger.read", "enqueue", "emit"],
    "max_attempts": 2,
}

TEN_MINUTES_S = 600


def main(input):
    span = span_of(input)
    failed = span or ctx.ledger.get(input["record"]) or {}
    remedy = "mostrar à gerência"
    if failed.get("entity_type") == "execution" and failed.get("name"):
        first = ctx.ledger.get(input["record"], 0) or {}
        again = ctx.enqueue(
            failed["name"],
            input=first.get("input"),
            delay_s=TEN_MINUTES_S,
            key="autocorrect/" + str(input["record"]),
        )
        remedy = "repetir daqui a dez minutos: " + again["id"]
    act = following(
        input,
        did="autocorrigir_falha",
        entity_type="autocorrection",
        status="executed",
        this=what_of(input, str(failed.get("this") or "falha")),
        ok="nada",
        doubt="verificar_saude",
        no="alertar_gerente",
        to="role:manager",
        details={"remedio": remedy, "falha": failed.get("error")},
    )
    return ctx.emit(act)
