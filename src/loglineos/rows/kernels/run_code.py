"""Decides which executions may start now.

Input:  {"now", "tenant", "law": the manifest,
         "used": {"today": n, "minute": n},
         "executions": [{"id", "tenant", "function": {"id", "name", "tenant", "paused"} or null,
                         "depth", "attempt", "max_attempts", "key", "force"}]}
Output: {"decisions": [{"id", "do": "run"}
                       | {"id", "do": "defer", "until", "reason", "said", "limit", "used"}
                       | {"id", "do": "block", "reason", "said", "limit", "used"}]}, in order.

`key` is the public key that signed the request. A request that says `force` and is signed by the
manifest's `override_pubkey_hex` passes the quotas, and nothing else. Executions of one batch count
for those after them. Source: Bluebook 3.1.
"""

from datetime import datetime, timedelta

FUNCTION = {
    "id": "00000000-0000-4000-8000-000000000001",
    "name": "run_code",
    "alias": "run_code_kernel",
    "kernel": True,
    "output_schema": {
        "type": "object",
        "required": ["decisions"],
        "properties": {
            "decisions": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["id", "do"],
                    "properties": {"do": {"enum": ["run", "defer", "block"]}},
                },
            }
        },
    },
}

SAID = {
    "quota.exec.per_tenant.daily": {
        "pt": "a casa já correu hoje tudo o que o manifesto deixa",
        "en": "the house has run today all that its manifest allows",
    },
    "quota.exec.per_tenant.minute": {
        "pt": "a casa já correu neste minuto tudo o que o manifesto deixa",
        "en": "the house has run in this minute all that its manifest allows",
    },
    "tenant.mismatch": {
        "pt": "a execução ou a função é de outra casa",
        "en": "the execution or the function is of another house",
    },
    "function.unknown": {
        "pt": "a casa não tem esta função",
        "en": "the house has no such function",
    },
    "function.paused": {"pt": "a função está em pausa", "en": "the function is paused"},
    "loop.depth": {
        "pt": "uma coisa levou a outra vezes demais: a cadeia é cortada aqui",
        "en": "one thing led to another too many times: the chain is cut here",
    },
    "attempts.spent": {
        "pt": "já foi tentada as vezes que podia",
        "en": "it was tried as often as it may be",
    },
}


def main(input):
    law = input["law"]
    daily = law["throttle"]["per_tenant_daily_exec_limit"]
    minutely = law["throttle"]["per_tenant_per_minute"]
    override = law["override_pubkey_hex"]
    today = input["used"]["today"]
    minute = input["used"]["minute"]
    decisions = []
    for execution in input["executions"]:
        reason = fault_of(execution, input["tenant"], law["limits"]["depth_max"])
        forced = execution.get("force") is True and override is not None
        forced = forced and execution.get("key") == override
        if reason is not None:
            decisions.append(blocked(execution, reason, None, None))
        elif not forced and daily is not None and today >= daily:
            decisions.append(blocked(execution, "quota.exec.per_tenant.daily", daily, today))
        elif not forced and minutely is not None and minute >= minutely:
            later = blocked(execution, "quota.exec.per_tenant.minute", minutely, minute)
            later["do"] = "defer"
            later["until"] = next_minute(input["now"])
            decisions.append(later)
        else:
            decisions.append({"id": execution["id"], "do": "run"})
            today += 1
            minute += 1
    return {"decisions": decisions}


def fault_of(execution, tenant, depth_max):
    function = execution.get("function")
    if execution["tenant"] != tenant:
        return "tenant.mismatch"
    if function is None:
        return "function.unknown"
    if function["tenant"] != tenant:
        return "tenant.mismatch"
    if function.get("paused"):
        return "function.paused"
    if execution.get("depth", 0) > depth_max:
        return "loop.depth"
    if execution.get("attempt", 1) > execution.get("max_attempts", 1):
        return "attempts.spent"
    return None


def blocked(execution, reason, limit, used):
    return {
        "id": execution["id"],
        "do": "block",
        "reason": reason,
        "said": SAID[reason],
        "limit": limit,
        "used": used,
    }


def next_minute(now):
    instant = datetime.fromisoformat(now.replace("Z", "+00:00"))
    following = instant.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return following.strftime("%Y-%m-%dT%H:%M:%S") + ".000000Z"
