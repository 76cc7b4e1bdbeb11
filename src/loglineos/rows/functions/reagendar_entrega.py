"""Sets a new time for a delivery."""

from datetime import datetime, timedelta, timezone

import ctx
from promises import following, person_of

FUNCTION = {
    "aliases": [
        "reschedule delivery",
        "reschedule the delivery",
        "marcar nova entrega",
    ],
    "effects": ["emit"],
    "max_attempts": 3,
}


def main(input):
    promised = datetime.now(timezone.utc) + timedelta(minutes=45)
    text = promised.strftime("%Y-%m-%dT%H:%M:%SZ")
    act = following(
        input,
        did="reagendar_entrega",
        entity_type="rescheduling",
        status="executed",
        details={"prometida_para": text},
        ok="enviar_mensagem",
        doubt="contactar_cliente",
        no="avisar_gerente",
        to=person_of(input),
    )
    return ctx.emit(act)
