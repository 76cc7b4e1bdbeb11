"""Schedules a delivery."""

from datetime import datetime, timedelta, timezone

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "schedule delivery",
        "schedule the delivery",
        "marcar entrega",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    promised = datetime.now(timezone.utc) + timedelta(minutes=45)
    text = promised.strftime("%Y-%m-%dT%H:%M:%SZ")
    act = following(
        input,
        did="programar_entrega",
        entity_type="delivery",
        status="scheduled",
        details={"prometida_para": text},
        ok="gerar_pergunta",
        doubt="avisar_gerente",
        no="abrir_incidente",
        to="role:courier",
    )
    return ctx.emit(act)
