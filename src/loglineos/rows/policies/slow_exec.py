"""Labels an execution that took longer than the house's slow_ms; it went on all the same."""

import house

POLICY = {
    "id": "00000000-0000-4000-8000-000000000401",
    "alias": "slow_exec_policy",
    "effects": ["emit"],
    "shows": [{"entity_type": "execution", "status": ["complete", "error", "dead"]}],
}


def on(span):
    took = span.get("duration_ms") or 0
    if took <= house.slow_ms:
        return []
    reason = str(took) + " ms > " + str(house.slow_ms) + " ms"
    return [{"status_patch": {"status": "slow", "reason": reason}}]
