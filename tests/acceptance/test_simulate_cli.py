"""What the guide on simulating promises, done by the commands that it names."""

from __future__ import annotations

import json

from docs.walk import running_node, type_in
from tests.shell_lines import ROOT, blocks_of

_EXPENSE = (
    '{"who": "rui", "did": "lancar_despesa", "this": "%s", "when": "2026-03-0%dT10:00:00Z",'
    ' "confirmed_by": "ana", "if_ok": "nada", "if_doubt": "nada", "if_not": "nada",'
    ' "status": "executed", "details": {"valor": "%s"}}\n'
)
_ADD = (
    "logline add rui lancar_despesa 'peixe do mercado' --confirmed-by ana --status executed"
    ' --if-ok nada --if-doubt nada --if-not nada --details \'{"valor": "180.00"}\' --json'
)


def test_a_period_is_told_again_and_compared_with_a_policy_that_was_never_published() -> None:
    page = (ROOT / "docs" / "how-to" / "policies.md").read_text("utf-8")
    source = next(block.text for block in blocks_of(page) if block.language == "python")
    commands = [
        _ADD,
        "logline simulate --with despesas.py --json",
        "logline simulate --from dia.jsonl --with despesas.py --lang en",
        "logline simulate --from dia.jsonl --json",
        "logline simulate --from dia.jsonl --json",
        "logline simulate --scenario pensao",
        "logline simulate --scenario casa --from dia.jsonl",
        "logline simulate --since 2026-03-02 --until 2026-03-01",
        "logline simulate --answer talvez",
        "logline simulate --with má.py --json",
        "logline timeline --entity-type notification --json",
        "logline tenant list --json",
        "logline tenant add sim-pensao --json",
        "logline verify",
    ]
    with running_node() as (environment, folder):
        (folder / "despesas.py").write_text(source, "utf-8")
        (folder / "má.py").write_text("def on(span):\n    yield span\n", "utf-8")
        lines = [_EXPENSE % one for one in (("pão", 1, 12), ("forno", 2, 900), ("vinho", 2, 300))]
        (folder / "dia.jsonl").write_text("".join(lines), "utf-8")
        answers = type_in(commands, environment=environment, folder=folder)
    told = [answer.output for answer in answers]
    assert [a.exit_status for a in answers] == [0] * 5 + [2] * 5 + [0, 0, 2, 0], told
    compared = json.loads(told[1])
    assert compared["is_same"] is False
    assert (compared["only_as_is"], compared["only_changed"]) == (0, 1)
    assert "peixe do mercado" in compared["only"][0]["record"]["this"]
    assert compared["changed"]["told"] == 1
    assert "only as it is: 0 · only with the change: 2" in told[2]
    assert "forno" in told[2]
    assert "vinho" in told[2]
    alone = [json.loads(told[n]) for n in (3, 4)]
    assert alone[0]["digest"] == alone[1]["digest"]
    assert (alone[0]["told"], alone[0]["cut"]) == (3, None)
    assert json.loads(told[10])["records"] == [], "nothing of a simulation enters the house"
    houses = told[11]
    for one in (compared["as_is"], compared["changed"], *alone):
        assert one["scratch"].startswith("sim-")
        assert one["scratch"] in houses
    assert "sim-" in told[12]
