"""The command that tells a period again and says what the house makes of it."""

# ruff: noqa: E501 - one line for each command reads as a table
from __future__ import annotations

from typing import Final

from loglineos.base.language import Text
from loglineos.faces.cli.command import Command

# fmt: off
SIMULATING: Final[tuple[Command, ...]] = (
    Command(path="simulate", target="simulating:simulate", group="run", about=Text("conta outra vez um período e mostra o que a casa faz dele, sem tocar em nada", "tell a period again and show what the house makes of it, touching nothing"), more=Text("O que veio de fora é contado a uma casa de ensaio, num relógio próprio e sob a lei desta; as funções, políticas, consequências e agendamentos fazem tudo de novo, e nada de lá sai. Com --with, o período é contado duas vezes, como está e com a mudança, e mostra-se o que difere. A casa de ensaio fica no livro.", "What came from outside is told to a scratch tenant, on a clock of its own and under this tenant's law; functions, policies, consequences and schedules make everything anew, and nothing leaves it. With --with, the period is told twice, as it is and with the change, and what differs is shown. The scratch tenant stays in the ledger."), examples=("simulate --since 30d", "simulate --since 30d --with alerta.py", "simulate --scenario casa --days 7 --seed 7 --answer yes", "simulate --from dia.jsonl --with alerta.py --with devolver.py")),
)
# fmt: on
