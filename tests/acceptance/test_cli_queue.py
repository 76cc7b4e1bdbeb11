"""Queues, schedules and workers as one types them."""

from __future__ import annotations

import json

from docs.walk import running_node, type_in

_DONE = (
    "for n in $(seq 100); do logline queue stats --json | grep -q '\"complete\":4'"
    " && grep -q started worker.jsonl && break; done"
)


def test_what_is_asked_for_by_a_schedule_is_done_by_a_worker_that_ends_when_told() -> None:
    commands = [
        "printf 'def main(input):\\n    return input\\n' > eco.py",
        "logline fn push eco.py",
        "logline cron add fecho '0 * * * *' eco --zone Europe/Lisbon --queue noite --json",
        "logline queue pause noite --reason obras --json",
        "logline cron backfill fecho --since 2026-03-02T00:30:00Z --until 2026-03-02T04:30:00Z --json",
        "logline cron backfill fecho --since 2026-03-02T00:30:00Z --until 2026-03-02T04:30:00Z --json",
        "logline queue list --json",
        "logline queue limit noite --concurrency 2 --json",
        "logline queue resume noite --json",
        "logline worker --json > worker.jsonl & WORKER=$!",
        _DONE,
        "kill $WORKER; wait $WORKER",
        "cat worker.jsonl",
        "logline queue list --json",
        "logline queue dead",
        "logline queue requeue",
        "logline cron pause fecho",
        "logline cron list --json",
        "logline cron next '61 * * * *'",
        "logline cron pause nenhum",
        "logline verify",
    ]
    with running_node(options=["--role", "ledger"]) as (environment, folder):
        answers = type_in(commands, environment=environment, folder=folder)
    answers = answers[2:]
    said = [answer.output for answer in answers]
    assert [answer.exit_status for answer in answers] == [
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 2, 3, 0,
    ], said  # fmt: skip
    assert json.loads(said[2])["fired"] == 4
    assert (json.loads(said[3])["instants"], json.loads(said[3])["fired"]) == (4, 0)
    (held,) = json.loads(said[4])["queues"]
    assert (held["name"], held["ready"], held["settings"]["paused"]["reason"]) == (
        "noite", 4, "obras",
    )  # fmt: skip
    events = [json.loads(line) for line in said[10].splitlines()]
    assert [event["event"] for event in events] == ["started", "stopped"]
    (done,) = json.loads(said[11])["queues"]
    assert (done["ready"], done["running"], done["settings"]["concurrency"]) == (0, 0, 2)
    (schedule,) = json.loads(said[15])["schedules"]
    assert (schedule["next"], schedule["function"]) == (None, "eco")
    assert schedule["paused"] is not None
