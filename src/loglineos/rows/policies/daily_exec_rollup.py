"""Counts executions by day, owner and status: one metric for each, added to batch by batch."""

POLICY = {
    "id": "00000000-0000-4000-8000-000000000403",
    "alias": "daily_exec_rollup_policy",
    "effects": ["emit"],
    "shows": [{"entity_type": "execution", "status": ["complete", "error", "dead", "denied"]}],
}


def on(span):
    day = span["recorded_at"][:10]
    owner = span.get("owner_id") or "-"
    status = span["status"]
    return [
        {
            "emit_span": {
                "entity_type": "metric",
                "did": "count",
                "this": "exec.day",
                "name": "exec.day " + day,
                "status": "valid",
                "metadata": {
                    "of": {"day": day, "owner": owner, "status": status},
                    "add": {"runs": 1, "duration_ms": span.get("duration_ms") or 0},
                },
            },
            "key": "exec.day/" + day + "/" + owner + "/" + status,
        }
    ]
