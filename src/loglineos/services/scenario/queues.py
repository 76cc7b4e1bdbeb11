"""Queues: jobs with a life: scheduled, queued, running, then done, again, or given up.

Always holds: attempts count from 1 and never exceed `max_attempts`; a job that fails is answered
by autocorrect; a dead one lets its `if_not` happen.
"""

from __future__ import annotations

from typing import Final

from loglineos.services.scenario.rhythm import Day, Instant, moment_of
from loglineos.services.scenario.sales import autocorrect
from loglineos.services.scenario.scene import Scene
from loglineos.services.scenario.story import Story

_JOBS: Final = (
    ("enviar_email_confirmacao", "correio"),
    ("enviar_sms_estado", "correio"),
    ("sincronizar_stock", "stock"),
    ("gerar_miniatura", "conteudos"),
    ("indexar_registos", "indice"),
    ("exportar_contabilidade", "contas"),
)
_ERRORS: Final = (
    {"codigo": "tempo_esgotado", "limite_ms": 8000},
    {"codigo": "recusado", "http": 502},
    {"codigo": "ficheiro_em_uso"},
)
_ATTEMPTS_MAX: Final = 3


def tell_job(scene: Scene, day: Day, start: Instant) -> Story:
    """Tell one job; it fails more on a stormy day."""
    story, dice = scene.story(), scene.dice
    did, queue = dice.pick(_JOBS)
    failures = 0
    if dice.chance(38 if day.is_stormy else 20):
        failures = dice.pick((1, 1, 1, 2, 3))
    at = start + story.pause(5, 300)
    job = story.act(
        did, start, who="queue.processor", by="cron.scheduler", status="scheduled", queue=queue,
        this=f"tarefa {scene.number('tarefa')}", run_at=moment_of(at), attempt=0,
        max_attempts=_ATTEMPTS_MAX, priority=dice.between(1, 9),
    )  # fmt: skip
    if dice.chance(30):
        story.move(job, at, "por_na_fila", who="queue.processor", status="queued", queue=queue)
        at += story.pause(1, 40)
    for attempt in range(1, _ATTEMPTS_MAX + 1):
        worker = f"trabalhador-{dice.between(1, 3)}"
        story.move(
            job, at, "iniciar_execucao", who="queue.processor", status="running", queue=queue,
            attempt=attempt, worker=worker,
        )  # fmt: skip
        took = story.pause(1, 50)
        at += took
        if attempt > failures:
            story.move(
                job, at, "concluir_execucao", who="queue.processor", status="complete",
                attempt=attempt, worker=worker, duration_ms=took // 1000,
            )  # fmt: skip
            return story
        story.move(
            job, at, "falhar_execucao", who="queue.processor", status="failed", attempt=attempt,
            worker=worker, duration_ms=took // 1000, error=dice.pick(_ERRORS), tags=("falha",),
        )  # fmt: skip
        if attempt == 1:
            autocorrect(story, job, at + story.pause(1, 9), "nova tentativa com espera")
        at += story.pause(30, 90) << attempt
        is_over = attempt == _ATTEMPTS_MAX
        story.move(
            job, at, "matar_tarefa" if is_over else "repetir_execucao", who="queue.processor",
            status="dead" if is_over else "queued", attempt=attempt, queue=queue,
        )  # fmt: skip
        at += story.pause(2, 20)
    story.consequence(
        job, "not", at, who="queue.processor", by="ana", this=f"{job.kept['this']} parou"
    )
    return story
