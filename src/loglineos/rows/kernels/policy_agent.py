"""Turns what a policy answered into records and requests; says no to what a policy may not do.

Input:  {"now", "tenant", "law",
         "policy": {"id", "name", "owner_id", "visibility", "effects": [declared and granted]},
         "batch": [{"span": {"id", "seq", "position", "trace_id", "depth"}, "actions": [...]}]}
Output: {"results": [{"position", "n",
            "kind": "record", "key": text or null, "draft": {columns}}
          | {... "kind": "execution", "function", "input", "queue", "delay_s", "priority", "key",
             "depth", "trace_id"}
          | {... "kind": "refused", "reason", "said", "field"}]}

The actions that exist, and the effect that each needs:

    {"run": NAME, "input", "queue", "delay_s", "priority", "key"}         run
    {"run": "run_code", "span_id": ID}                                    run     (Bluebook)
    {"enqueue": NAME, ...the same}                                        enqueue
    {"emit_span": {columns}, "key"}                                       emit
    {"status_patch": STATUS | {"status", "span_id", "reason"}}            emit
    {"notify": TEXT | {"text", "who"}}                                    emit
    {"confirm": QUESTION | {"question", "who", "if_ok", "if_doubt", "if_not"}}   confirm

The author of every record is `policy:NAME`; what the policy said instead is kept in
`metadata.said_who`. A place, a proof or another house cannot be claimed; what only people decide
cannot be decided. `key` makes records one life, and requests one request. Source: Bluebook 3.4.
"""

FUNCTION = {
    "id": "00000000-0000-4000-8000-000000000004",
    "name": "policy_agent",
    "alias": "policy_agent_kernel",
    "kernel": True,
    "output_schema": {
        "type": "object",
        "required": ["results"],
        "properties": {
            "results": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["position", "n", "kind"],
                    "properties": {"kind": {"enum": ["record", "execution", "refused"]}},
                },
            }
        },
    },
}

NEEDS = {
    "run": "run",
    "enqueue": "enqueue",
    "emit_span": "emit",
    "status_patch": "emit",
    "notify": "emit",
    "confirm": "confirm",
}
REQUEST_KEYS = ["input", "queue", "delay_s", "priority", "key", "span_id"]
LAW_TYPES = [
    "tenant", "actor", "key", "forgetting", "manifest", "function", "policy", "schedule",
    "prelude", "prompt", "queue", "alias", "execution", "step", "boot_event", "policy_cursor",
    "policy_violation",
]  # fmt: skip
GIVEN_BY_THE_LEDGER = [
    "id", "seq", "position", "recorded_at", "curr_hash", "prev_hash", "signature", "public_key",
    "valid", "ghost_reason", "simulated",
]  # fmt: skip
COLUMNS = [
    "entity_type", "did", "this", "at", "confirmed_by", "if_ok", "if_doubt", "if_not", "status",
    "type", "tags", "subsystem", "source_file", "details", "parent_id", "related_to", "span_id",
    "session_id", "branch", "owner_id", "visibility", "shared_with", "is_deleted", "name",
    "description", "language", "version", "input", "output", "error", "output_hash", "attempt",
    "max_attempts", "priority", "queue", "run_at", "worker", "idempotency_key", "duration_ms",
    "cost_micros", "currency", "model", "provider", "tokens_in", "tokens_out", "latency_ms",
    "score", "latitude", "longitude", "content_hash", "content_type", "size_bytes", "bucket",
    "object_key", "metadata",
]  # fmt: skip
OF_PEOPLE = ["confirmed", "denied", "ratified", "reverted", "under_review"]

SAID = {
    "action.unknown": {"pt": "não há tal ação", "en": "there is no such action"},
    "action.malformed": {
        "pt": "a ação não está escrita como deve ser",
        "en": "the action is not written as it should be",
    },
    "actions.too_many": {
        "pt": "respondeu com ações demais a um só registo",
        "en": "it answered one record with too many actions",
    },
    "effect.not_granted": {
        "pt": "a política não declara este efeito, ou a casa não o concede",
        "en": "the policy does not declare this effect, or the house does not grant it",
    },
    "column.unknown": {"pt": "não há tal coluna", "en": "there is no such column"},
    "column.forged": {
        "pt": "só o livro dá lugar, prova e número a um registo",
        "en": "only the ledger gives a record its place, proof and number",
    },
    "tenant.forged": {
        "pt": "uma política só escreve na sua casa",
        "en": "a policy writes in its own house only",
    },
    "type.of_the_law": {
        "pt": "o que define a casa não o escreve uma política",
        "en": "what defines the house is not for a policy to write",
    },
    "status.of_people": {
        "pt": "isto só uma pessoa o decide",
        "en": "only a person decides this",
    },
    "witness.forged": {
        "pt": "uma política não confirma em nome de ninguém",
        "en": "a policy confirms in nobody's name",
    },
    "loop.depth": {
        "pt": "uma coisa levou a outra vezes demais: a cadeia é cortada aqui",
        "en": "one thing led to another too many times: the chain is cut here",
    },
}


def main(input):
    policy = input["policy"]
    bounds = input["law"]["limits"]
    results = []
    for item in input["batch"]:
        span = item["span"]
        n = 0
        for action in item["actions"]:
            if n >= bounds["actions_per_span_max"]:
                found = refused("actions.too_many", "actions")
            elif (span.get("depth") or 0) >= bounds["depth_max"]:
                found = refused("loop.depth", "depth")
            else:
                found = answer_to(action, span, policy, input["tenant"])
            found["position"] = span["position"]
            found["n"] = n
            results.append(found)
            n += 1
            if found["kind"] == "refused" and found["reason"] == "actions.too_many":
                break
    return {"results": results}


def answer_to(action, span, policy, tenant):
    if not isinstance(action, dict):
        return refused("action.malformed", "action")
    named = [name for name in NEEDS if name in action]
    if len(named) != 1:
        return refused("action.unknown", ", ".join([str(key) for key in action])[:60])
    name = named[0]
    if NEEDS[name] not in policy["effects"]:
        return refused("effect.not_granted", NEEDS[name])
    told = action[name]
    if name in ("run", "enqueue"):
        return request(name, told, action, span)
    others = [key for key in action if key not in (name, "key")]
    if others:
        return refused("action.malformed", others[0])
    key = action.get("key")
    if key is not None and not isinstance(key, str):
        return refused("action.malformed", "key")
    if name == "emit_span":
        return record(told, key, span, policy, tenant)
    if name == "status_patch":
        return status_patch(told, key, span, policy)
    if name == "notify":
        return notify(told, key, span, policy)
    return confirm(told, key, span, policy)


def request(name, told, action, span):
    for key in action:
        if key != name and key not in REQUEST_KEYS:
            return refused("action.malformed", key)
    function = told
    if told == "run_code":
        function = action.get("span_id")
    elif "span_id" in action:
        return refused("action.malformed", "span_id")
    if not isinstance(function, str) or not function.strip():
        return refused("action.malformed", name)
    delay_s = action.get("delay_s", 0)
    priority = action.get("priority", 0)
    key = action.get("key")
    queue = action.get("queue", "default")
    if not is_number(delay_s) or delay_s < 0:
        return refused("action.malformed", "delay_s")
    if not is_number(priority) or priority != int(priority):
        return refused("action.malformed", "priority")
    if not isinstance(queue, str) or not (key is None or isinstance(key, str)):
        return refused("action.malformed", "queue, key")
    return {
        "kind": "execution",
        "function": function,
        "input": action.get("input"),
        "queue": queue,
        "delay_s": delay_s,
        "priority": int(priority),
        "key": key,
        "depth": (span.get("depth") or 0) + 1,
        "trace_id": span.get("trace_id"),
    }


def record(told, key, span, policy, tenant):
    if not isinstance(told, dict):
        return refused("action.malformed", "emit_span")
    draft = {}
    for name in told:
        value = told[name]
        if value is None or name in ("who", "tenant_id", "trace_id", "cause_id"):
            continue
        column = "at" if name == "when" else name
        if column in GIVEN_BY_THE_LEDGER:
            return refused("column.forged", name)
        if column not in COLUMNS:
            return refused("column.unknown", str(name)[:60])
        draft[column] = value
    if told.get("tenant_id") not in (None, tenant):
        return refused("tenant.forged", "tenant_id")
    kind = draft.get("entity_type", "logline")
    if not isinstance(kind, str) or kind in LAW_TYPES:
        return refused("type.of_the_law", "entity_type")
    if draft.get("status") in OF_PEOPLE:
        return refused("status.of_people", "status")
    metadata = draft.get("metadata", {})
    if not isinstance(metadata, dict):
        return refused("action.malformed", "metadata")
    witness = draft.get("confirmed_by")
    is_asked = draft.get("status") in ("pending", "draft", "ghost")
    if witness is not None and witness != "policy:" + policy["name"] and not is_asked:
        return refused("witness.forged", "confirmed_by")
    if not isinstance(draft.get("this", ""), str) or not draft.get("this", "").strip():
        draft["this"] = kind
    said_who = told.get("who")
    extra = {}
    if said_who is not None and said_who != "policy:" + policy["name"]:
        extra["said_who"] = str(said_who)[:200]
    return drafted(draft, extra, key, span, policy)


def status_patch(told, key, span, policy):
    patch = told if isinstance(told, dict) else {"status": told}
    status = patch.get("status")
    which = patch.get("span_id") or span["id"]
    if not isinstance(status, str) or not status or not isinstance(which, str):
        return refused("action.malformed", "status_patch")
    draft = {
        "entity_type": "status_patch",
        "did": "label",
        "this": "status=" + status,
        "status": "complete",
        "parent_id": which,
        "related_to": [which],
        "metadata": {"status": status, "reason": patch.get("reason")},
    }
    return drafted(draft, {}, key, span, policy)


def notify(told, key, span, policy):
    note = told if isinstance(told, dict) else {"text": told}
    text = note.get("text")
    who = note.get("who")
    if not isinstance(text, str) or not text.strip() or not (who is None or isinstance(who, str)):
        return refused("action.malformed", "notify")
    draft = {
        "entity_type": "notification",
        "did": "notify",
        "this": text,
        "status": "open",
        "related_to": [span["id"]],
    }
    if who is not None:
        draft["shared_with"] = [who]
    return drafted(draft, {}, key, span, policy)


def confirm(told, key, span, policy):
    asked = told if isinstance(told, dict) else {"question": told}
    question = asked.get("question")
    if not isinstance(question, str) or not question.strip():
        return refused("action.malformed", "confirm")
    for name in asked:
        if name not in ("question", "who", "if_ok", "if_doubt", "if_not"):
            return refused("action.malformed", str(name)[:60])
        if asked[name] is not None and not isinstance(asked[name], str):
            return refused("action.malformed", name)
    who = asked.get("who") or "role:manager"
    draft = {
        "entity_type": "question",
        "did": "ask",
        "this": question,
        "status": "pending",
        "confirmed_by": who,
        "shared_with": [who],
        "parent_id": span["id"],
        "related_to": [span["id"]],
        "if_ok": asked.get("if_ok") or "sim",
        "if_doubt": asked.get("if_doubt") or "em dúvida",
        "if_not": asked.get("if_not") or "não",
    }
    return drafted(draft, {}, key, span, policy)


def drafted(draft, extra, key, span, policy):
    draft["who"] = "policy:" + policy["name"]
    draft["cause_id"] = span["id"]
    if span.get("trace_id") is not None:
        draft["trace_id"] = span["trace_id"]
    if "visibility" not in draft:
        draft["visibility"] = policy.get("visibility") or "tenant"
    if "owner_id" not in draft and policy.get("owner_id") is not None:
        draft["owner_id"] = policy["owner_id"]
    metadata = dict(draft.get("metadata", {}))
    for name in extra:
        metadata[name] = extra[name]
    metadata["policy"] = policy["id"]
    metadata["span"] = span["id"]
    metadata["position"] = span["position"]
    metadata["depth"] = (span.get("depth") or 0) + 1
    draft["metadata"] = metadata
    return {"kind": "record", "key": key, "draft": draft}


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def refused(reason, field):
    return {"kind": "refused", "reason": reason, "said": SAID[reason], "field": field}
