"""The commands that run code of the house, look at its runs, and run them again."""

# ruff: noqa: E501 - one line for each command reads as a table
from __future__ import annotations

from typing import Final

from loglineos.base.language import Text
from loglineos.faces.cli.command import Command

# fmt: off
RUNNING: Final[tuple[Command, ...]] = (
    Command(path="fn run", target="executing:run_function", group="run", about=Text("corre uma função e mostra o que deu", "run a function and show what came out"), more=Text("Pede a execução e espera por ela: se não houver um trabalhador ligado, corre-a aqui. Se ela ficar à espera de alguém ou de uma hora, diz por quê e termina; a execução continua quando chegar.", "Asks for the run and waits for it: where no worker is on, it runs here. If it comes to wait for somebody or for a time, this says for what and ends; the run goes on when that comes."), examples=("fn run emitir_fatura --input '{\"pedido\": \"312\"}'", "fn run fecho_do_dia --no-wait")),
    Command(path="exec list", target="executing:list_executions", group="run", about=Text("as execuções, as mais novas primeiro", "the executions, newest first"), examples=("exec list", "exec list --status waiting")),
    Command(path="exec show", target="executing:show_execution", group="run", about=Text("uma execução: o que fez, passo a passo, e como acabou", "one execution: what it did, step by step, and how it ended"), examples=("exec show '#42'",)),
    Command(path="exec tree", target="executing:show_tree", group="run", about=Text("uma execução e as que ela pediu", "an execution and those that it asked for"), examples=("exec tree '#42'",)),
    Command(path="exec cancel", target="executing:cancel_execution", group="run", about=Text("termina uma execução que ainda não acabou", "end an execution that has not ended"), examples=("exec cancel '#42'",)),
    Command(path="exec retry", target="executing:retry_execution", group="run", about=Text("tenta outra vez uma execução que falhou, desde um passo", "try a failed execution again, from a step on"), examples=("exec retry '#42'", "exec retry '#42' --from-step 3 --latest")),
    Command(path="exec resume", target="executing:resume_execution", group="run", about=Text("faz uma execução que espera olhar já se pode continuar", "have a waiting execution look at once whether it may go on"), examples=("exec resume '#42'",)),
    Command(path="replay", target="replaying:replay_executions", group="prove", about=Text("corre outra vez o que já correu, só com os registos, e compara", "run again what has run, from the records alone, and compare"), more=Text("O mundo fica de fora: cada pergunta é respondida pelo diário. O mesmo hash à saída prova que foi este código, com esta entrada, que deu este resultado. Com --from, a partir de uma exportação, sem base de dados.", "The world stays out: each question is answered by the journal. The same hash at the end proves that this code, on this input, gave this result. With --from, from an export, without any database."), examples=("replay '#42'", "replay --all", "replay --all --from casa.jsonl")),
    Command(path="secret set", target="secrets:set_secret", group="run", about=Text("guarda um segredo para as funções usarem sem o verem", "keep a secret for functions to use without seeing it"), examples=("secret set banco < chave.txt",)),
    Command(path="secret list", target="secrets:list_secrets", group="run", about=Text("os nomes dos segredos; nunca o que dizem", "the names of the secrets; never what they say"), examples=("secret list",)),
    Command(path="secret drop", target="secrets:drop_secret", group="run", about=Text("destrói um segredo", "destroy a secret"), examples=("secret drop banco",)),
)
# fmt: on
