"""Breaks the circuit of a prompt whose run called tools again and again: injects a block for it.

The block is a `prompt_block` with `metadata.ttl_minutes`; `ttl_reaper` ends it.
"""

POLICY = {
    "id": "00000000-0000-4000-8000-b01000000001",
    "name": "prompt_circuit_breaker",
    "alias": "00000000-0000-4000-8000-ppol00000001",
    "aliases": ["prompt_circuit_breaker_policy"],
    "effects": ["emit"],
    "shows": [{"entity_type": ["prompt_run", "prompt_execution", "provider_execution"]}],
}

TOOL_CALLS_MAX = 8
TTL_MINUTES = 30


def on(span):
    metadata = span.get("metadata") or {}
    calls = metadata.get("tool_calls") or 0
    if isinstance(calls, list):
        calls = len(calls)
    if not isinstance(calls, int) or calls <= TOOL_CALLS_MAX:
        return []
    prompt = span.get("parent_id") or span["id"]
    return [
        {
            "emit_span": {
                "entity_type": "prompt_block",
                "did": "inject",
                "this": "anti_tool_spam",
                "status": "active",
                "parent_id": prompt,
                "related_to": [span["id"]],
                "details": {"text": "Answer without calling tools.", "tool_calls": calls},
                "metadata": {"ttl_minutes": TTL_MINUTES, "block": "anti_tool_spam", "priority": 0},
            },
            "key": "anti_tool_spam/" + prompt + "/" + span["recorded_at"][:13],
        }
    ]
