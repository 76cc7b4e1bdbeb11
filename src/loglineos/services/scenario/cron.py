"""The clock's work: what happens once a day at its hour, and the health checks between.

Always holds: exactly one daily report, one backup and one closing of the till per day; weekly
reports on Mondays; the report covers the local day before.
"""

from __future__ import annotations

from datetime import timedelta

from loglineos.services.scenario.rhythm import Day, Instant, moment_of
from loglineos.services.scenario.sales import autocorrect, euros
from loglineos.services.scenario.scene import Scene
from loglineos.services.scenario.story import Story
from loglineos.services.scenario.witness import open_incident

_CRON = "0 6 * * *"


def tell_backup(scene: Scene, day: Day, start: Instant) -> Story:
    """Tell the night's backup; now and then it fails and autocorrect lets it run again."""
    story = scene.story()
    backup = story.act(
        "executar_backup_diario", start, who="cron.engine", by="cron.scheduler", status="running",
        this=f"cópia.{day.date}", cron="30 3 * * *", timezone="Europe/Lisbon",
    )  # fmt: skip
    at = start + story.pause(40, 200)
    if scene.dice.chance(8):
        story.move(
            backup, at, "falhar_execucao", who="cron.engine", status="failed", attempt=1,
            error={"codigo": "disco_lento", "limite_ms": 180000}, tags=("falha",),
        )  # fmt: skip
        again = autocorrect(story, backup, at + story.pause(5, 40), "repetir fora da hora de ponta")
        at = again.at + story.pause(600, 1_200)
        story.move(backup, at, "repetir_execucao", who="cron.engine", status="running", attempt=2)
        at += story.pause(40, 160)
    story.move(
        backup, at, "concluir_execucao", who="cron.engine", status="executed",
        content_hash=scene.dice.hexadecimal(64), size_bytes=scene.dice.between(4, 40) * 1_048_576,
        bucket="copias", object_key=f"{scene.tenant}/{day.date}.tar",
        duration_ms=(at - start) // 1000,
    )  # fmt: skip
    return story


def tell_report(scene: Scene, day: Day, start: Instant) -> Story:
    """Tell the daily report, and on Mondays the weekly one."""
    story = scene.story()
    yesterday = day.date - timedelta(days=1)
    report = story.act(
        "gerar_relatorio_diario", start, who="cron.engine", by="cron.scheduler", status="executed",
        this=f"vendas_diarias.{yesterday}", cron=_CRON, timezone="Europe/Lisbon", catch_up="once",
        run_at=moment_of(day.at(6 * 3600)), duration_ms=scene.dice.between(900, 7_000),
    )  # fmt: skip
    if scene.dice.chance(20):
        told_at = start + story.pause(2, 20)
        story.consequence(report, "ok", told_at, who="communicator.app", by="ana")
    if day.date.weekday() == 0:
        story.act(
            "gerar_relatorio_semanal", start + story.pause(30, 120), who="cron.engine",
            by="cron.scheduler", this=f"semana_ate.{yesterday}", status="executed",
            cron="0 6 * * 1", timezone="Europe/Lisbon", cause=report, branch="ok",
        )  # fmt: skip
    return story


def tell_opening(scene: Scene, day: Day, start: Instant) -> Story:
    """Tell the opening of the house, with the weather warning on a stormy day."""
    story = scene.story()
    desk = scene.house.desk["morning"]
    opening = story.act(
        "abrir_casa", start, who=desk, by="ana", this=f"portas abertas em {day.date}",
        status="executed",
    )  # fmt: skip
    if day.is_stormy:
        notice = story.act(
            "registar_aviso_meteorologico", start + story.pause(120, 900), who=desk, by="ana",
            this="aviso laranja: chuva e vento", status="valid", cause=opening, branch="doubt",
            tags=("mau_tempo",),
        )  # fmt: skip
        story.consequence(notice, "ok", notice.at + story.pause(20, 200), who=desk, by="helena")
    return story


def tell_closing(scene: Scene, day: Day, start: Instant) -> Story:
    """Tell the closing of the till, confirmed by the manager; ghosts are counted; books visited."""
    story, desk = scene.story(), scene.house.desk["afternoon"]
    till = story.act(
        "fechar_caixa", start, who=desk, by="bruno", this=f"caixa de {day.date}", status="valid",
        details={"total": euros(scene.dice.between(60_000, 240_000)), "moeda": "EUR"},
    )  # fmt: skip
    story.move(
        till, start + story.pause(60, 500), "confirmar_registo", who="ana", status="confirmed",
        gesture="confirm",
    )  # fmt: skip
    if scene.due("fantasmas", 50):
        story.act(
            "contar_fantasmas", start + story.pause(520, 700), who="ghost.handler",
            by="logline.validator", this=f"fantasmas de {day.date}", status="executed", cause=till,
            branch="ok",
        )  # fmt: skip
    if day.date.weekday() == 4:
        story.act(
            "visitar_livros", start + story.pause(30, 50), who="helena", by="lidia",
            this=f"livros da semana de {day.date}", status="executed", shared=("role:auditor",),
        )  # fmt: skip
    return story


def tell_outage(scene: Scene, start: Instant, end: Instant) -> Story:
    """Tell the morning without payments: the check that failed, the incident, the recovery."""
    story = scene.story()
    this = "prestador de pagamentos"
    check = story.act(
        "verificar_saude", start + story.pause(60, 400), who="cron.engine", by="cron.scheduler",
        this=this, status="fail", error={"codigo": "prestador_indisponivel", "http": 503},
        tags=("falha_do_prestador",),
    )  # fmt: skip
    alert = story.consequence(
        check, "not", check.at + story.pause(2, 20), who="cron.engine", by="ana"
    )
    open_incident(scene, story, alert, alert.at + story.pause(60, 400), client=None)
    story.act(
        "verificar_saude", end + story.pause(60, 400), who="cron.engine", by="cron.scheduler",
        this=this, status="pass", cause=check, branch="ok", latency_ms=scene.dice.between(20, 160),
    )  # fmt: skip
    return story


def tell_health(scene: Scene, day: Day, start: Instant) -> Story:
    """Tell one health check; it is slow or fails more often while the provider is out."""
    story = scene.story()
    is_out = day.outage is not None and day.outage[0] <= start < day.outage[1]
    fate = scene.dice.between(1, 100) + (40 if is_out else 0)
    status = "pass" if fate <= 90 else "slow" if fate <= 97 else "fail"
    slowness = 1 if status == "pass" else 30
    check = story.act(
        "verificar_saude", start, who="cron.engine", by="cron.scheduler", status=status,
        this="pagamentos, fila, armazém", latency_ms=scene.dice.between(20, 160) * slowness,
    )  # fmt: skip
    if status == "fail":
        story.consequence(check, "not", start + story.pause(2, 20), who="cron.engine", by="ana")
    return story
