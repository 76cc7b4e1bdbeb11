"""The commands about policies, and the one that shows what followed from what."""

# ruff: noqa: E501 - one line for each command reads as a table
from __future__ import annotations

from typing import Final

from loglineos.base.language import Text
from loglineos.faces.cli.command import Command

# fmt: off
WATCHING: Final[tuple[Command, ...]] = (
    Command(path="policy push", target="policies:push_policy", group="run", about=Text("publica uma política a partir de um ficheiro .py ou .js", "publish a policy from a .py or .js file"), more=Text("O ficheiro tem `on(span)`, que responde com ações; o que declara está em POLICY (docs/how-to/policies.md). Os mesmos bytes duas vezes não acrescentam nada.", "The file has `on(span)`, which answers with actions; what it declares stands in POLICY (docs/how-to/policies.md). The same bytes twice append nothing."), examples=("policy push avisar_atrasos.py", "policy push eco.js --check")),
    Command(path="policy list", target="policies:list_policies", group="run", about=Text("as políticas da casa, e quanto lhes falta ver", "the policies of the house, and how much they have yet to see"), examples=("policy list",)),
    Command(path="policy show", target="policies:show_policy", group="run", about=Text("uma política: o que vê, onde vai, porque descansa, o código", "a policy: what it is shown, where it stands, why it rests, its code"), examples=("policy show ttl_reaper", "policy show slow_exec --no-code")),
    Command(path="policy test", target="rehearsing:try_policy", group="run", about=Text("pergunta a uma política pelo passado e mostra o que teria feito; não escreve nada", "ask a policy about the past and show what it would have done; nothing is written"), examples=("policy test double_confirmation --since 30d", "policy test nova.py --since 7d")),
    Command(path="policy pause", target="policies:pause_policy", group="run", about=Text("põe uma política em pausa: o que entretanto acontece espera por ela", "pause a policy: what happens meanwhile waits for it"), examples=("policy pause late_delivery --reason 'greve dos estafetas'",)),
    Command(path="policy resume", target="policies:resume_policy", group="run", about=Text("retoma uma política, onde ia ou a partir de agora", "resume a policy, where it stood or from now on"), examples=("policy resume late_delivery", "policy resume late_delivery --from-now")),
    Command(path="policy quarantine", target="policies:quarantine_policy", group="run", about=Text("põe uma política de quarentena até haver outra versão", "put a policy away until there is another version"), examples=("policy quarantine throttle --reason 'avisa demais'",)),
    Command(path="trace", target="tracing:trace", group="look", about=Text("o que levou a um registo e o que dele se seguiu", "what led to a record, and what followed from it"), examples=("trace '#12'",)),
)
# fmt: on
