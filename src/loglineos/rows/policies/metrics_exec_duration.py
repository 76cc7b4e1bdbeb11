"""Records how long each execution took, as a metric of its function."""

POLICY = {
    "id": "00000000-0000-4000-8000-000000000402",
    "alias": "metrics_exec_duration_policy",
    "effects": ["emit"],
    "shows": [{"entity_type": "execution", "status": ["complete", "error", "dead"]}],
}


def on(span):
    if span.get("duration_ms") is None:
        return []
    return [
        {
            "emit_span": {
                "entity_type": "metric",
                "did": "measure",
                "this": "exec.duration_ms",
                "name": span.get("name"),
                "status": "valid",
                "duration_ms": span["duration_ms"],
                "parent_id": span["id"],
                "metadata": {"of": {"function": span.get("name"), "status": span["status"]}},
            }
        }
    ]
