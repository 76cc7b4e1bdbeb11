"""Turns what is due into requests: times of schedules, and functions marked as scheduled.

Input:  {"now", "tenant", "law",
         "schedules": [{"id", "name", "function", "queue", "input", "catch_up", "paused",
                        "due": [times, oldest first, all since it last fired]}],
         "functions": [{"id", "seq", "name", "queue"}]}
Output: {"requests": [{"schedule": id or null, "function", "queue", "input", "run_at", "key"}],
         "missed": [{"schedule", "count", "first", "last", "reason": "paused" | "catch_up"}]}

`catch_up` says what happens to times that passed while nobody looked: `none` leaves out those older
than `law.limits.catch_up_grace_s`, `last` keeps the newest, `all` keeps each. `key` names one
request, so that asking twice asks once. Source: Bluebook 3.2.
"""

from datetime import datetime

FUNCTION = {
    "id": "00000000-0000-4000-8000-000000000002",
    "name": "observer",
    "alias": "observer_bot_kernel",
    "kernel": True,
    "output_schema": {
        "type": "object",
        "required": ["requests", "missed"],
        "properties": {"requests": {"type": "array"}, "missed": {"type": "array"}},
    },
}


def main(input):
    now = instant(input["now"])
    grace_s = input["law"]["limits"]["catch_up_grace_s"]
    requests = []
    missed = []
    for schedule in input.get("schedules", []):
        due = schedule["due"]
        kept = kept_of(schedule, due, now, grace_s)
        lost = due[: len(due) - len(kept)]
        if lost:
            reason = "paused" if schedule.get("paused") else "catch_up"
            missed.append(
                {
                    "schedule": schedule["id"],
                    "count": len(lost),
                    "first": lost[0],
                    "last": lost[-1],
                    "reason": reason,
                }
            )
        for when in kept:
            requests.append(
                {
                    "schedule": schedule["id"],
                    "function": schedule["function"],
                    "queue": schedule.get("queue") or "default",
                    "input": schedule.get("input"),
                    "run_at": when,
                    "key": "schedule:" + schedule["id"] + ":" + when,
                }
            )
    for function in input.get("functions", []):
        requests.append(
            {
                "schedule": None,
                "function": function["id"],
                "queue": function.get("queue") or "default",
                "input": None,
                "run_at": input["now"],
                "key": "function:" + function["id"] + ":" + str(function["seq"]),
            }
        )
    return {"requests": requests, "missed": missed}


def kept_of(schedule, due, now, grace_s):
    """Return the times that become requests: always the newest ones of those due."""
    catch_up = schedule.get("catch_up") or "last"
    if schedule.get("paused") or not due:
        return []
    if catch_up == "all":
        return due
    if catch_up == "last":
        return due[-1:]
    kept = []
    for when in due:
        if (now - instant(when)).total_seconds() <= grace_s:
            kept.append(when)
    return kept


def instant(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
