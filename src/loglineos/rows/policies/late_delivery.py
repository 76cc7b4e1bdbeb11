"""Tells the manager of a delivery that is past its promise and has not arrived."""

from datetime import datetime, timedelta, timezone

POLICY = {
    "effects": ["emit"],
    "shows": [{"entity_type": "delivery", "status": ["scheduled", "queued", "running", "waiting"]}],
    "needs": [{"entity_type": "delivery", "status": ["scheduled", "queued", "running", "waiting"]}],
    "on_tick": True,
}

LATE = timedelta(minutes=5)
FORGOTTEN = timedelta(days=2)


def on(span):
    details = span.get("details") or {}
    promised = details.get("prometida_para") or details.get("promised_for") or span.get("run_at")
    if not isinstance(promised, str) or len(promised) < 19:
        return []
    late = datetime.now(timezone.utc) - instant(promised)
    if late <= LATE or late > FORGOTTEN:
        return []
    courier = span.get("who") or "?"
    what = str(span.get("this") or "entrega")
    text = "Atrasada: " + what + ", prometida para " + promised[:16] + " (" + courier + ")"
    key = "late/" + span["id"]
    patch = {"status": "late", "reason": "prometida para " + promised}
    return [
        {"notify": {"text": text, "who": "role:manager"}, "key": key},
        {"status_patch": patch, "key": key + "/patch"},
    ]


def instant(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
