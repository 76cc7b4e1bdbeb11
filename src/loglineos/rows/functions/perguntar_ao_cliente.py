"""Asks the client whether it is so, waits up to a day, and records the answer."""

import ctx
from promises import following, person_of, what_of

FUNCTION = {
    "aliases": [
        "ask the client",
        "ask client",
        "solicitar resposta do cliente",
        "pedir comprovativo",
    ],
    "effects": ["confirm", "emit"],
    "max_attempts": 3,
}

ONE_DAY_S = 86400


def main(input):
    client = person_of(input)
    question = "Está tudo bem com: " + what_of(input, "o seu pedido") + "?"
    answer = ctx.confirm(question, who=client, timeout_s=ONE_DAY_S, if_timeout="doubt")
    said = {"yes": "sim", "no": "não", "doubt": "sem certeza"}[answer["answer"]]
    act = following(
        input,
        did="responder_pergunta",
        entity_type="answer",
        status="executed",
        this="resposta do cliente: " + said,
        ok="avisar_gerente" if answer["answer"] == "no" else "nada",
        details={"pergunta": answer["record"], "resposta": answer["answer"]},
    )
    return ctx.emit(act)
