"""Pays money back, after the manager agrees; without an answer in three days, nothing is paid."""

import ctx
from promises import amount_of, following, person_of, what_of

FUNCTION = {
    "aliases": [
        "refund",
        "refund the client",
        "gerar estorno",
        "gerar_estorno",
        "devolver o dinheiro",
    ],
    "effects": ["confirm", "emit"],
    "max_attempts": 3,
}

THREE_DAYS_S = 3 * 86400


def main(input):
    amount, currency = amount_of(input)
    what = what_of(input, "reembolso")
    question = "Reembolsar " + (amount or "?") + " " + currency + ": " + what + "?"
    answer = ctx.confirm(question, who="role:manager", timeout_s=THREE_DAYS_S, if_timeout="no")
    if answer["answer"] != "yes":
        act = following(
            input,
            did="recusar_reembolso",
            entity_type="note",
            status="executed",
            details={"pergunta": answer["record"], "resposta": answer["answer"]},
        )
        return ctx.emit(act)
    act = following(
        input,
        did="reembolsar",
        entity_type="refund",
        status="executed",
        ok="enviar_recibo",
        doubt="verificar_pagamento",
        no="abrir_incidente",
        to=person_of(input),
        details={"valor": amount, "moeda": currency, "autorizado_por": answer["who"]},
    )
    return ctx.emit(act)
