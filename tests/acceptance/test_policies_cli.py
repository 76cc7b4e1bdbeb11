"""What the guide on policies promises, done by the commands that it names."""

from __future__ import annotations

import json

from docs.walk import running_node, type_in
from tests.shell_lines import ROOT, blocks_of

_EXPENSE = (
    "logline add rui lancar_despesa 'peixe do mercado' --confirmed-by ana"
    ' --if-ok nada --if-doubt nada --if-not nada --details \'{"valor": "%s"}\' --json'
)


def test_a_policy_is_published_tried_on_the_past_and_put_away() -> None:
    page = (ROOT / "docs" / "how-to" / "policies.md").read_text("utf-8")
    source = next(block.text for block in blocks_of(page) if block.language == "python")
    commands = [
        _EXPENSE % "12.50",
        _EXPENSE % "180.00",
        "logline policy test despesas.py --since 30d --json",
        "logline policy push despesas.py --json",
        "logline policy push despesas.py --json",
        "logline policy test despesas --lang en",
        "logline policy pause despesas --reason 'mudança de contas' --json",
        "logline policy show despesas --json",
        "logline policy resume despesas --from-now --json",
        "logline policy quarantine despesas --reason 'avisa demais' --json",
        "logline policy list --lang en",
        "logline policy show ninguém --json",
        "logline timeline --entity-type notification --json",
        "logline verify",
    ]
    with running_node() as (environment, folder):
        (folder / "despesas.py").write_text(source, "utf-8")
        (folder / "má.py").write_text("def on(span):\n    yield span\n", "utf-8")
        answers = type_in(
            [*commands, "logline policy push má.py --json"], environment=environment, folder=folder
        )
    told = [answer.output for answer in answers]
    assert [a.exit_status for a in answers] == [0] * 11 + [3, 0, 0, 2], told
    tried = json.loads(told[2])
    assert tried["would_do"] == {"notification": 1}
    assert "peixe do mercado" in tried["examples"][0]["this"]
    assert [json.loads(told[n])["is_new"] for n in (3, 4)] == [True, False]
    assert "would have done 1 things" in told[5]
    assert "nothing was written" in told[5]
    assert json.loads(told[7])["metadata"]["paused"]["reason"] == "mudança de contas"
    assert json.loads(told[9])["state"] == "quarantined"
    assert "quarantined" in told[10]
    assert json.loads(told[12])["records"] == [], "trying a policy writes nothing"
    assert "program_refused" in told[14]


def test_a_trace_tells_what_led_here_and_what_followed() -> None:
    delivery = (
        "logline add joao registrar_entrega 'pedido 312' --confirmed-by ana --if-ok 'enviar recibo'"
        " --if-doubt nada --if-not nada --json"
    )
    commands = [
        delivery,
        "logline trace '#4' --json",
        "logline trace '#4' --lang en",
        "logline trace '#999' --json",
    ]
    with running_node() as (environment, folder):
        added, _, _, _ = answers = type_in(commands, environment=environment, folder=folder)
        position = json.loads(added.output)["position"]
        again = [c.replace("#4", f"#{position}") for c in commands[1:3]]
        found = type_in(again, environment=environment, folder=folder)
    document = json.loads(found[0].output)
    assert (document["causes"], document["tree"]["this"]) == ([], "pedido 312")
    assert "joao registrar_entrega pedido 312" in found[1].output
    assert answers[3].exit_status == 3
