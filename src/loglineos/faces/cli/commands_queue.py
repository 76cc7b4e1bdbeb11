"""The commands of queues, schedules and workers."""

# ruff: noqa: E501 - one line for each command reads as a table
from __future__ import annotations

from typing import Final

from loglineos.base.language import Text
from loglineos.faces.cli.command import Command

# fmt: off
QUEUEING: Final[tuple[Command, ...]] = (
    Command(path="queue list", target="queueing:list_queues", group="run", about=Text("as filas: o que há para fazer, para depois e em curso", "the queues: what is ready, for later and running"), examples=("queue list",)),
    Command(path="queue stats", target="queueing:queue_stats", group="run", about=Text("como acabaram as execuções, e quem trabalha", "how executions ended, and who works"), examples=("queue stats --since 2h",)),
    Command(path="queue dead", target="queueing:dead_letters", group="run", about=Text("o que esgotou as tentativas", "what ran out of attempts"), examples=("queue dead", "queue dead --errors")),
    Command(path="queue requeue", target="queueing:requeue_executions", group="run", about=Text("volta a pôr na fila o que falhou", "put what failed into its queue again"), examples=("queue requeue '#42'", "queue requeue --all --queue correio")),
    Command(path="queue pause", target="queueing:pause_queue", group="run", about=Text("nada mais começa nesta fila; o que corre acaba", "nothing more begins in this queue; what runs ends"), more=Text("A fila `*` é a casa inteira.", "The queue `*` is the whole tenant."), examples=("queue pause correio --reason 'servidor em obras'",)),
    Command(path="queue resume", target="queueing:resume_queue", group="run", about=Text("a fila volta a andar", "the queue goes on"), examples=("queue resume correio",)),
    Command(path="queue limit", target="queueing:limit_queue", group="run", about=Text("quantos ao mesmo tempo e por segundo, em todos os trabalhadores", "how many at once and a second, over all workers"), more=Text("Sem opções, a fila fica sem limites. A fila `*` é a casa inteira.", "Without options the queue has no limits. The queue `*` is the whole tenant."), examples=("queue limit correio --concurrency 5 --rate 10",)),
    Command(path="cron add", target="scheduling:add_cron", group="run", about=Text("marca uma função para horas certas", "have a function run at set times"), more=Text("Cinco campos: minuto hora dia mês dia-da-semana. Um nome que já existe passa a ser como agora se diz.", "Five fields: minute hour day month weekday. A name that exists becomes what is said now."), examples=("cron add fecho '0 23 * * *' fecho_do_dia", "cron add lembrete '*/15 9-18 * * 1-5' lembrar --zone America/Sao_Paulo --catch-up last")),
    Command(path="cron list", target="scheduling:list_crons", group="run", about=Text("os agendamentos, e quando é a próxima vez", "the schedules, and when each comes next"), examples=("cron list",)),
    Command(path="cron next", target="scheduling:next_times", group="run", about=Text("as próximas vezes de um agendamento, ou de uma expressão", "the next times of a schedule, or of an expression"), examples=("cron next fecho", "cron next '30 1 * * *' --count 3")),
    Command(path="cron pause", target="scheduling:pause_cron", group="run", about=Text("o agendamento para; o que perde não se repõe", "the schedule stops; what it misses is not made up for"), examples=("cron pause fecho --reason férias",)),
    Command(path="cron resume", target="scheduling:resume_cron", group="run", about=Text("o agendamento volta a correr, da próxima vez em diante", "the schedule runs again, from its next time on"), examples=("cron resume fecho",)),
    Command(path="cron backfill", target="scheduling:backfill_cron", group="run", about=Text("faz as vezes que faltaram num período; nenhuma duas vezes", "make up for the times of a period; none twice"), examples=("cron backfill fecho --since 2026-03-01 --until 2026-03-08",)),
    Command(path="worker", target="working:work", group="node", about=Text("um trabalhador: faz o que há nas filas, até o pararem", "a worker: does what the queues hold, until it is stopped"), more=Text("Quantos se queira, nesta máquina ou noutras, sobre a mesma base de dados. SIGTERM ou Ctrl-C: acaba o que começou e devolve o resto.", "As many as one likes, on this machine or others, on one database. SIGTERM or Ctrl-C: it ends what it began and gives the rest back."), examples=("worker", "worker --queue correio --slots 8")),
    Command(path="top", target="topping:top", group="look", about=Text("o que a casa faz agora: filas, trabalhadores, atrasos, as funções mais lentas", "what the house does now: queues, workers, lags, the slowest functions"), more=Text("Refresca-se a cada segundo; q ou Ctrl-C termina. Com --json, um documento por segundo; sem terminal, ou com --once, um só.", "It refreshes each second; q or Ctrl-C ends it. With --json, one document a second; without a terminal, or with --once, just one."), examples=("top", "top --once --json")),
)
# fmt: on
