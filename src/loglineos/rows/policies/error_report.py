"""Opens an error report for an execution that ended badly, with what its code said."""

POLICY = {
    "id": "00000000-0000-4000-8000-000000000404",
    "alias": "error_report_policy",
    "effects": ["emit"],
    "shows": [{"entity_type": "execution", "status": ["error", "dead"]}],
}


def on(span):
    error = span.get("error") or {}
    if not isinstance(error, dict):
        error = {"message": str(error)}
    return [
        {
            "emit_span": {
                "entity_type": "error_report",
                "did": "open",
                "this": "erro em " + str(span.get("name") or span["id"]),
                "status": "open",
                "parent_id": span["id"],
                "related_to": [span["id"]],
                "error": error,
                "details": {
                    "function": span.get("name"),
                    "code": error.get("code"),
                    "attempt": span.get("attempt"),
                },
                "tags": ["erro"],
            }
        }
    ]
