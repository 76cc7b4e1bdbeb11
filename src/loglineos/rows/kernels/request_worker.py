"""Orders requests that are due and says which are taken now.

Input:  {"now", "tenant", "law", "slots": n,
         "queues": {name: {"concurrency": n or null, "running": n, "tokens": n or null, "paused"}},
         "requests": [{"id", "tenant", "queue", "priority", "due", "position"}]}
Output: {"take": [id, in order],
         "leave": [{"id", "reason": "queue.paused" | "queue.full" | "queue.rate" | "no.slot"}]}

Tenants take turns; where all are of one tenant, its queues do. Each gives its lowest priority first,
then what is due longest, then what was asked first. `concurrency` is how many of a queue may run at
once, `tokens` how many may start now. Source: Bluebook 3.3.
"""

FUNCTION = {
    "id": "00000000-0000-4000-8000-000000000003",
    "name": "request_worker",
    "alias": "request_worker_kernel",
    "kernel": True,
    "output_schema": {
        "type": "object",
        "required": ["take", "leave"],
        "properties": {
            "take": {"type": "array", "items": {"type": "string"}},
            "leave": {"type": "array"},
        },
    },
}


def main(input):
    requests = input["requests"]
    queues = input.get("queues", {})
    room = {}
    leave = []
    lines = {}
    tenants = []
    for request in requests:
        if request["tenant"] not in tenants:
            tenants.append(request["tenant"])
    shared = "tenant" if len(tenants) > 1 else "queue"
    for request in sorted(requests, key=lambda one: (one["priority"], one["due"], one["position"])):
        line = lines.get(request[shared])
        if line is None:
            line = []
            lines[request[shared]] = line
        line.append(request)
    for name in queues:
        room[name] = room_of(queues[name])
    take = []
    turn = 0
    while lines:
        for whose in sorted(lines):
            line = lines[whose]
            if turn >= len(line):
                lines.pop(whose)
                continue
            request = line[turn]
            reason = refusal_of(request, queues, room)
            if reason is None and len(take) >= input["slots"]:
                reason = "no.slot"
            if reason is None:
                take.append(request["id"])
                spend(room, request["queue"])
            else:
                leave.append({"id": request["id"], "reason": reason})
        turn += 1
    return {"take": take, "leave": leave}


def room_of(queue):
    concurrency = queue.get("concurrency")
    free = None if concurrency is None else concurrency - queue.get("running", 0)
    return {"free": free, "tokens": queue.get("tokens")}


def refusal_of(request, queues, room):
    name = request["queue"]
    if name not in queues:
        return None
    if queues[name].get("paused"):
        return "queue.paused"
    if room[name]["free"] is not None and room[name]["free"] <= 0:
        return "queue.full"
    if room[name]["tokens"] is not None and room[name]["tokens"] <= 0:
        return "queue.rate"
    return None


def spend(room, name):
    if name in room:
        for what in ("free", "tokens"):
            if room[name][what] is not None:
                room[name][what] -= 1
