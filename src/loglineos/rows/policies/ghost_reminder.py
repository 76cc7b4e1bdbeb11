"""Reminds whoever wrote it of a ghost that has waited for more than a day to be completed."""

from datetime import datetime, timedelta, timezone

POLICY = {
    "effects": ["emit"],
    "shows": [{"status": "ghost"}],
    "needs": [{"status": "ghost"}],
    "on_tick": True,
}


def on(span):
    if span.get("status") != "ghost" or span.get("type") not in (None, "human", "ghost"):
        return []
    if span.get("source_file") is not None:
        return []
    age = datetime.now(timezone.utc) - instant(span["recorded_at"])
    if age <= timedelta(days=1):
        return []
    missing = span.get("ghost_reason") or "está incompleto"
    text = (
        "Há mais de um dia à espera: "
        + str(span.get("this") or "um registo")
        + " ("
        + missing
        + ")"
    )
    return [{"notify": {"text": text, "who": span.get("who") or "role:operator"}}]


def instant(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
