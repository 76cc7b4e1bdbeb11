"""Four eyes: money over the house's limit, confirmed by one person, is asked of a second one."""

from datetime import datetime, timedelta
from decimal import Decimal

import house

POLICY = {
    "effects": ["confirm"],
    "shows": [{"status": ["confirmed", "executed"]}],
}

AMOUNTS = ("valor", "total", "montante", "amount", "value")


def on(span):
    if house.four_eyes_over_cents is None or span["entity_type"] in ("question", "notice"):
        return []
    if span["status"] == "executed" and span["seq"] > 0:
        return []
    if instant(span["recorded_at"]) - instant(span["at"]) > timedelta(days=1):
        return []
    cents = cents_of(span)
    if cents is None or cents <= house.four_eyes_over_cents:
        return []
    who = str(span.get("confirmed_by") or span.get("who"))
    amount = str(Decimal(cents) / 100)
    what = str(span.get("this"))
    question = (
        who + " confirmou " + amount + " " + currency(span) + " em " + what + ". Confirma também?"
    )
    return [
        {
            "confirm": {
                "question": question,
                "who": "role:manager",
                "if_not": "avisar_gerente",
                "if_doubt": "avisar_gerente",
            }
        }
    ]


def cents_of(span):
    details = span.get("details") or {}
    for name in AMOUNTS:
        value = details.get(name)
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            try:
                return int(Decimal(str(value).strip()) * 100)
            except Exception:
                return None
    return None


def currency(span):
    details = span.get("details") or {}
    return str(details.get("moeda") or details.get("currency") or span.get("currency") or "EUR")


def instant(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
