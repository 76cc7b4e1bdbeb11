"""Functions and the manifest from the command line: published, looked at, paused, governed."""

from __future__ import annotations

import json
from typing import Any

from docs.walk import running_node, type_in
from tests.shell_lines import ROOT
from tests.wheels import PIN, write_wheel

GUIDE = ROOT / "docs" / "how-to" / "functions.md"


def run(folder: Any, environment: Any, *commands: str) -> list[Any]:
    """Type commands and return their answers."""
    return type_in(list(commands), environment=environment, folder=folder)


def document(answer: Any) -> Any:
    """Return the JSON document of a command that ended well."""
    assert answer.exit_status == 0, answer.output
    return json.loads(answer.output.splitlines()[-1])


def test_a_function_is_published_looked_at_paused_and_run():
    code = GUIDE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    with running_node() as (environment, folder):
        (folder / "agradecer.py").write_text(code, encoding="utf-8")
        first, again = run(
            folder, environment, "logline fn push agradecer.py --json",
            "logline fn push agradecer.py --json",
        )  # fmt: skip
        assert (document(first)["seq"], document(first)["is_new"]) == (0, True)
        assert (document(again)["seq"], document(again)["is_new"]) == (0, False)
        (folder / "agradecer.py").write_text(code.replace("5000", "7000"), encoding="utf-8")
        push, diff, ran, refused, logs, listed = run(
            folder, environment, "logline fn push agradecer.py --json",
            "logline fn diff agradecer --json",
            "logline fn run 'Thank the client' --input '{\"pedido\": \"312\"}' --json",
            "logline fn run agradecer --input '{}'",
            "logline fn logs agradecer --json", "logline fn list --json",
        )  # fmt: skip
        assert document(push)["seq"] == 1
        assert document(diff)["declared"] == {
            "metadata.timeout_ms": {"before": 5000, "after": 7000}
        }
        assert document(ran)["status"] == "complete"
        assert refused.exit_status == 2
        assert "pedido" in refused.output
        (logged,) = document(logs)["runs"]
        assert [(one["text"], one["fields"]) for one in logged["lines"]] == [
            ("a agradecer", {"pedido": "312"})
        ]
        names = {one["name"]: one for one in document(listed)["functions"]}
        assert names["agradecer"]["aliases"] == ["thank the client", "agradecer ao cliente"]
        assert "run_code" not in names
        paused, blocked, resumed, history, shown = run(
            folder, environment, "logline fn disable agradecer --reason férias --json",
            "logline fn run agradecer --input '{\"pedido\": \"1\"}'",
            "logline fn enable agradecer --json", "logline fn show agradecer --seq 0 --json",
            "logline fn show agradecer --lang pt",
        )  # fmt: skip
        assert document(paused)["paused"]["reason"] == "férias"
        assert blocked.exit_status != 0
        assert document(resumed)["paused"] is None
        assert (document(history)["seq"], document(history)["code"]) == (0, code)
        assert "também" in shown.output


def test_what_cannot_be_published_is_told_and_leaves_nothing():
    with running_node() as (environment, folder):
        (folder / "lazy.py").write_text("def main(input):\n    yield 1\n", encoding="utf-8")
        (folder / "odd.py").write_text("FUNCTION = {'efects': []}\n", encoding="utf-8")
        (folder / "broken.js").write_text("function main( {", encoding="utf-8")
        (folder / "fine.js").write_text("function main(input) { return 1 }", encoding="utf-8")
        answers = run(
            folder, environment, "logline genesis --json", "logline fn list --kernels --json",
            "logline fn push lazy.py", "logline fn push odd.py", "logline fn push broken.js",
            "logline fn push nowhere.py", "logline fn show nowhere",
            "logline fn push fine.js --check --json", "logline fn list --kernels --json",
        )  # fmt: skip
    statuses = [answer.exit_status for answer in answers]
    assert statuses == [0, 0, 2, 2, 2, 3, 3, 0, 0], [answer.output for answer in answers]
    assert "line 2" in answers[2].output
    assert "efects" in answers[3].output
    before, after = document(answers[1]), document(answers[8])
    assert after == before
    assert "run_code" in {one["name"] for one in after["functions"]}


def test_a_function_in_javascript_runs_and_replays():
    with running_node() as (environment, folder):
        code = "export default function main(input) { return { total: input.a + input.b } }"
        (folder / "soma.js").write_text(code, encoding="utf-8")
        pushed, ran, replayed = run(
            folder, environment, "logline fn push soma.js --json",
            "logline fn run soma --input '{\"a\": 2, \"b\": 40}' --json", "logline replay --all --json",
        )  # fmt: skip
        assert (document(pushed)["language"], document(pushed)["runtime"]) == ("javascript", "pure")
        assert document(ran)["output"] == {"total": 42}
        assert replayed.exit_status == 0, replayed.output
        assert document(replayed)["counts"]["equal"] == 1


def test_packages_are_laid_out_and_a_function_in_full_cpython_has_them():
    with running_node() as (environment, folder):
        write_wheel(folder / "wheels")
        code = f"import quartos\nFUNCTION = {{'runtime': 'full', 'packages': ['{PIN}']}}\ndef main(input):\n    return quartos.LIVRES\n"
        (folder / "livres.py").write_text(code, encoding="utf-8")
        pushed, denied, allowed, missing, added, again, listed, ran, replayed, verified = run(
            folder, environment, "logline fn push livres.py --json", "logline fn run livres",
            "logline manifest set sandbox.full_python_allowed true", "logline fn run livres",
            f"logline fn packages add {PIN} --wheels wheels --json",
            f"logline fn packages add {PIN} --wheels wheels --json",
            "logline fn packages list --json", "logline fn run livres --json",
            "logline replay --all --json", "logline verify",
        )  # fmt: skip
    assert document(pushed)["runtime"] == "full"
    assert denied.exit_status != 0
    assert "sandbox.full_python" in denied.output
    assert allowed.exit_status == 0, allowed.output
    assert "misconfigured" in missing.output
    first, second = document(added), document(again)
    assert (first["is_new"], second["is_new"]) == (True, False)
    assert second["record"] == first["record"]
    (there,) = document(listed)["packages"]
    assert (there["packages"], there["is_here"], there["digest"]) == ([PIN], True, first["digest"])
    assert document(ran)["output"] == [101, 102]
    counts = document(replayed)["counts"]
    assert (counts["equal"], counts["diverged"], counts["unproven"]) == (0, 0, 1)
    assert verified.exit_status == 0, verified.output


def test_the_manifest_is_shown_changed_and_kept_by_the_root():
    key = "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"
    with running_node() as (environment, folder):
        answers = run(
            folder, environment, "logline manifest show --json",
            "logline manifest set policy.slow_ms 2000 --json",
            "logline manifest set policy.slow_ms 2000 --json",
            "logline manifest set policy.fast_ms 1", "logline manifest set policy.slow_ms soon",
            "logline manifest grant http:api.example.org --json",
            "logline manifest grant telepathy",
            "logline manifest revoke http:api.example.org --json",
            f"logline manifest trust {key} --json", "logline manifest trust 3b6a",
            f"logline manifest distrust {key}", f"logline manifest distrust {key} --yes --json",
            "logline manifest show --lang pt", "logline verify",
        )  # fmt: skip
        root = json.loads(
            (folder / environment.get("LOGLINE_HOME", ".") / "keys" / "root.key").read_text()
        )
    statuses = [answer.exit_status for answer in answers]
    assert statuses == [0, 0, 0, 2, 2, 0, 2, 0, 0, 2, 7, 0, 0, 0], [a.output for a in answers]
    shown = [document(answers[place]) for place in (0, 1, 2, 5, 7, 8, 11)]
    assert [one["seq"] for one in shown] == [0, 1, 1, 2, 3, 4, 5]
    assert {one["signed_by"] for one in shown} == {root["public"]}
    assert shown[2]["is_new"] is False
    assert "http:api.example.org" in shown[3]["manifest"]["effects_granted"]
    assert "http:api.example.org" not in shown[4]["manifest"]["effects_granted"]
    assert key in shown[5]["manifest"]["trusted_keys"]
    assert len(shown[6]["manifest"]["trusted_keys"]) == 1
    assert "policy.slow_ms" in answers[3].output


def test_genesis_says_what_the_house_keeps_of_its_own():
    with running_node() as (environment, folder):
        (folder / "provider_exec.py").write_text(
            "def main(input):\n    return {'do': 'none'}\n", encoding="utf-8"
        )
        given, again, pushed, kept = run(
            folder, environment, "logline genesis --json", "logline genesis --json",
            "logline fn push provider_exec.py --json", "logline genesis --json",
        )  # fmt: skip
    assert document(given)["unchanged"] > 0
    assert (document(again)["written"], document(again)["kept"]) == ([], [])
    assert document(pushed)["seq"] == 1
    assert document(kept)["kept"] == ["kernels/provider_exec.py"]


def test_code_signed_by_a_key_of_ones_own_runs_once_the_house_trusts_it():
    code = "def main(input):\n    return 7\n"
    with running_node() as (environment, folder):
        (folder / "sete.py").write_text(code, encoding="utf-8")
        made, *answers = run(
            folder, environment, "logline key new teresa.key --json",
            'PUB=$(python -c \'import json; print(json.load(open("teresa.key"))["public"])\')',
            "logline key enrol $PUB teresa --role manager",
            "logline fn push sete.py --actor teresa --key teresa.key --json",
            "logline fn run sete", "logline fn push sete.py --actor teresa",
            "logline manifest trust $PUB --json", "logline fn run sete --json",
        )  # fmt: skip
        public = document(made)["public_key"]
    statuses = [answer.exit_status == 0 for answer in answers]
    assert statuses == [True, True, True, False, True, True, True], answers[6].output
    pushed = document(answers[2])
    assert (pushed["who"], pushed["is_trusted"]) == ("teresa", False)
    assert "already" in answers[4].output
    assert public in document(answers[5])["manifest"]["trusted_keys"]
    assert document(answers[6])["output"] == 7
