"""Sends what a model is not sure of to a person: low confidence asks for a human review."""

POLICY = {
    "id": "00000000-0000-4000-8000-b01000000002",
    "name": "prompt_confidence_escalation",
    "alias": "00000000-0000-4000-8000-ppol00000002",
    "aliases": ["prompt_confidence_escalation_policy"],
    "effects": ["confirm"],
    "shows": [
        {"entity_type": ["prompt_run", "prompt_execution", "provider_execution"]},
        {"type": "llm"},
    ],
}

CONFIDENCE_MIN = 0.6


def on(span):
    if span["entity_type"] == "question":
        return []
    confidence = span.get("score")
    if confidence is None:
        confidence = (span.get("metadata") or {}).get("confidence")
    if not isinstance(confidence, (int, float)) or confidence >= CONFIDENCE_MIN:
        return []
    what = str(span.get("this") or span["id"])
    question = "O modelo não tem certeza (" + str(confidence) + "): está bem assim? " + what
    return [{"confirm": {"question": question, "who": "role:operator"}}]
