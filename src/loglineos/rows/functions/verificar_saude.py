"""Looks at what went wrong in the last hour, and records whether the house is well."""

from datetime import datetime, timedelta, timezone

import ctx
from promises import following

FUNCTION = {
    "aliases": ["check health", "check the system's health", "health check"],
    "effects": ["ledger.read", "emit"],
    "max_attempts": 3,
}


def main(input):
    since = (datetime.now(timezone.utc) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    dead = ctx.ledger.find(entity_type="execution", status="dead", since=since, limit=100)
    denied = ctx.ledger.find(entity_type="policy_violation", since=since, limit=100)
    is_well = len(dead) == 0 and len(denied) == 0
    act = following(
        input,
        did="verificar_saude",
        entity_type="health_check",
        status="pass" if is_well else "fail",
        this="saúde da casa",
        ok="nada",
        doubt="avisar_gerente",
        no="alertar_gerente",
        details={"mortas": len(dead), "violacoes": len(denied)},
    )
    return ctx.emit(act)
