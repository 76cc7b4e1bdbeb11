"""Makes the report of the last day: how many records of each status."""

from datetime import datetime, timedelta, timezone

import ctx
from promises import following

FUNCTION = {
    "aliases": [
        "make daily report",
        "daily report",
        "make the daily report",
        "enviar para cron.daily",
    ],
    "effects": ["ledger.read", "emit"],
    "max_attempts": 3,
}

STATUSES = ["executed", "confirmed", "denied", "failed", "ghost", "under_review"]


def main(input):
    since = (datetime.now(timezone.utc) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    counts = {}
    for status in STATUSES:
        found = ctx.ledger.find(status=status, since=since, limit=200)
        counts[status] = len(found)
    act = following(
        input,
        did="gerar_relatorio_diario",
        entity_type="report",
        status="executed",
        this="relatório do último dia",
        ok="avisar_gerente",
        doubt="verificar_saude",
        no="alertar_gerente",
        to="role:manager",
        details={"desde": since, "por_estado": counts, "limite": 200},
    )
    return ctx.emit(act)
