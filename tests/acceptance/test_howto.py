"""What the guides on keys and forgetting promise, done by the commands that they name."""

from __future__ import annotations

import json
import re

from docs.walk import running_node, type_in
from tests.shell_lines import ROOT

_PUBLIC = 'PUB=$(python -c \'import json; print(json.load(open("ana.key"))["public"])\')'
_CHECK_IN = (
    "logline add rui check_in 'quarto 204' --details '{\"telefone\": \"+351 912 000 000\"}'"
    " --personal hospede.204:details.telefone --confirmed-by ana"
    " --if-ok 'dar a chave' --if-doubt 'ver o documento' --if-not 'chamar a gerência'"
)


def test_an_own_key_signs_alone_until_it_is_revoked() -> None:
    commands = [
        "logline key new ana.key",
        _PUBLIC,
        "logline actor add ana --role manager",
        "logline key enrol $PUB ana --role manager",
        "logline add ana aprovar 'despesa 88' --actor ana --key ana.key --json",
        "logline add ana aprovar 'despesa 89'",
        "logline key revoke $PUB --reason 'telemóvel perdido' --yes",
        "logline add ana aprovar 'despesa 90' --actor ana --key ana.key",
        "logline verify",
        "logline timeline --who ana --did aprovar --json",
    ]
    with running_node() as (environment, folder):
        answers = type_in(commands, environment=environment, folder=folder)
        public = json.loads((folder / "ana.key").read_text())["public"]
    statuses = [answer.exit_status for answer in answers]
    assert statuses == [0, 0, 0, 0, 0, 7, 0, 7, 0, 0], [answer.output for answer in answers]
    assert json.loads(answers[4].output)["public_key"] == public
    assert "key_not_trusted" in answers[5].output
    assert "key_not_trusted" in answers[7].output
    (written,) = json.loads(answers[9].output)["records"]
    assert written["this"] == "despesa 88", "what was refused left nothing"


def test_a_forgotten_person_is_read_no_more_and_everything_still_verifies() -> None:
    commands = [
        f"{_CHECK_IN} --json > written.json",
        'ID=$(python -c \'import json; print(json.load(open("written.json"))["id"])\')',
        "logline show $ID",
        "logline forget hospede.204 --yes",
        "logline show $ID",
        "logline export all.jsonl",
        "logline verify",
        "logline forget hospede.204 --yes",
    ]
    with running_node() as (environment, folder):
        answers = type_in(commands, environment=environment, folder=folder)
        exported = (folder / "all.jsonl").read_text(encoding="utf-8")
        written = (folder / "written.json").read_text(encoding="utf-8")
    assert [answer.exit_status for answer in answers] == [0, 0, 0, 0, 0, 0, 0, 3]
    assert "+351 912 000 000" in answers[2].output
    assert "912 000 000" not in answers[4].output
    sealed = re.search(r"pessoal:1:[^\"]+", written)
    assert sealed, "what was signed is the sealed text"
    assert sealed[0] in exported
    assert "912 000 000" not in exported + written
    assert "hospede.204" not in exported, "nor does the log name the person"


def test_the_guides_name_these_commands() -> None:
    keys = (ROOT / "docs" / "how-to" / "keys.md").read_text(encoding="utf-8")
    forget = (ROOT / "docs" / "how-to" / "forget.md").read_text(encoding="utf-8")
    for command in (
        "key new",
        "actor add",
        "key enrol",
        "key revoke",
        "key rotate",
        "--key ana.key",
    ):
        assert command in keys
    assert "logline forget hospede.204" in forget
    assert "--personal hospede.204:details.telefone" in forget
