"""Has `autocorrect` look at an execution that ran out of attempts.

Acts of the house that fail are corrected by the consequences; this is for the machine's own work.
"""

POLICY = {
    "effects": ["run"],
    "shows": [{"entity_type": "execution", "status": "dead"}],
}


def on(span):
    if span.get("name") == "autocorrect":
        return []
    told = {"record": span["id"], "seq": span["seq"], "function": span.get("name")}
    return [{"run": "autocorrect", "input": told, "key": "autocorrect/" + span["id"]}]
