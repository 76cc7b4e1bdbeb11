"""Labels executions that a quota of the house held back, and tells the manager once a day."""

POLICY = {
    "id": "00000000-0000-4000-8000-000000000405",
    "alias": "throttle_policy",
    "effects": ["emit"],
    "shows": [
        {"entity_type": "policy_violation"},
        {"entity_type": "execution", "status": ["denied"]},
    ],
}


def on(span):
    if span["entity_type"] == "execution":
        error = span.get("error") or {}
        code = str(error.get("code") or "") if isinstance(error, dict) else ""
        if not code.startswith("quota."):
            return []
        return [{"status_patch": {"status": "throttled", "reason": code}}]
    law = span["this"]
    if not law.startswith("quota."):
        return []
    day = span["recorded_at"][:10]
    text = "A casa chegou a um limite de execuções (" + law + ") em " + day
    return [{"notify": {"text": text, "who": "role:manager"}, "key": "throttle/" + law + "/" + day}]
