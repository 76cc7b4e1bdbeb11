"""Counts the ghosts that wait to be completed, by what they are missing."""

import ctx
from promises import following

FUNCTION = {
    "aliases": ["count ghosts", "count the ghosts"],
    "effects": ["ledger.read", "emit"],
    "max_attempts": 3,
}


def main(input):
    ghosts = ctx.ledger.find(ghosts=True, limit=200)
    missing = {}
    for ghost in ghosts:
        reason = str(ghost.get("ghost_reason") or "?")[:100]
        missing[reason] = missing.get(reason, 0) + 1
    act = following(
        input,
        did="contar_fantasmas",
        entity_type="ghost_count",
        status="executed",
        this="fantasmas por completar: " + str(len(ghosts)),
        ok="nada",
        details={"total": len(ghosts), "porque": missing},
    )
    return ctx.emit(act)
