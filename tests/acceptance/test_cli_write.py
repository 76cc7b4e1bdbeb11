"""The command line as a person and a program use it: the real `logline`, on a real data folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from loglineos.database.embedded import EmbeddedPostgres

LOGLINE = str(Path(sys.executable).parent / "logline")
NINE = (
    "--confirmed-by",
    "Ana",
    "--if-ok",
    "recibo",
    "--if-doubt",
    "ligar",
    "--if-not",
    "abrir caso",
)
WAIT_S = 60.0


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """How one command ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)

    @property
    def problem(self) -> dict[str, Any]:
        """The JSON problem, the last line of stderr; stdout stays empty."""
        assert self.out == ""
        return json.loads(self.err.splitlines()[-1])["problem"]


class House:
    """A data folder, and its commands."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(home), "LOGLINE_HOME": str(home),
            "LOGLINE_ACTOR": "operador", "LANG": "C.UTF-8", "LOGLINE_TIMEZONE": "Europe/Lisbon",
        }  # fmt: skip

    def run(self, *words: str, given: str | bytes = "", **more: str) -> Done:
        """Run `logline` to its end."""
        data = given.encode() if isinstance(given, str) else given
        done = subprocess.run(
            [LOGLINE, *words], input=data, capture_output=True, check=False, timeout=WAIT_S,
            env={**self.environment, **more},
        )  # fmt: skip
        return Done(status=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())

    def ok(self, *words: str, **more: Any) -> Any:
        """Run a command that must end well; return its document."""
        done = self.run(*words, "--json", **more)
        assert done.status == 0, done.err
        return done.document

    def size(self) -> int:
        """How many records the house has."""
        (found,) = [one for one in self.ok("tenant", "list")["tenants"] if one["tenant"] == "casa"]
        return int(found["size"])


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """A founded house whose Postgres stays up between the commands."""
    folder = Path(tempfile.mkdtemp(prefix="logline-")).resolve()
    made = House(folder)
    with EmbeddedPostgres.start(folder):
        made.ok("init", "--origin", "log.example.org/casa")
        yield made
    shutil.rmtree(folder)


class Live:
    """A running `logline up`, and what it says, line by line."""

    def __init__(self, house: House, *words: str) -> None:
        self.process = subprocess.Popen(
            [LOGLINE, "up", "--json", *words], env=house.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.events: list[dict[str, Any]] = []
        self._arrived = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._arrived:
                self.events.append(json.loads(line))
                self._arrived.notify_all()

    def wait_for(self, event: str, **fields: Any) -> dict[str, Any]:
        """Wait until an event of this name came, with these fields in its record."""

        def found() -> dict[str, Any] | None:
            for one in self.events:
                record = one.get("record", {})
                if one["event"] == event and fields.items() <= record.items():
                    return one
            return None

        with self._arrived:
            assert self._arrived.wait_for(lambda: found() is not None, WAIT_S), self.events[-3:]
        told = found()
        assert told is not None
        return told

    def stop(self, number: int) -> int:
        """Send a signal and return how the process ended."""
        self.process.send_signal(number)
        status = self.process.wait(WAIT_S)
        self._thread.join(WAIT_S)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()
        return status


@pytest.fixture
def live() -> Iterator[Callable[..., Live]]:
    """Start `logline up` in a house; what still runs at the end of the test is killed."""
    started: list[Live] = []

    def start(house: House, *words: str) -> Live:
        started.append(Live(house, *words))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.stop(signal.SIGKILL)


def test_init_twice_changes_nothing_and_the_origin_never_changes(house: House):
    again = house.ok("init")
    assert again["was_there"] is True
    assert again["origin"] == "log.example.org/casa"
    assert len(again["root_key"]) == 64
    done = house.run("init", "--origin", "other.example.org", "--json")
    assert (done.status, done.problem["code"]) == (2, "misconfigured")
    assert house.ok("init")["origin"] == "log.example.org/casa"


def test_a_whole_act_is_valid_and_names_what_may_be_done_with_it(house: House):
    record = house.ok(
        "add", "João", "entregou", "pedido 312", *NINE, "--tag", "rua", "--tag", "sol"
    )
    assert record["status"] == "valid"
    assert record["missing"] == []
    assert record["complete_with"] is None
    assert record["tags"] == ["rua", "sol"]
    gestures = {action["gesture"]: action["consequence"] for action in record["actions"]}
    assert gestures == {
        "confirm": "recibo",
        "question": "ligar",
        "deny": "abrir caso",
        "annotate": None,
    }
    assert "at" not in record
    assert record["when"].endswith("Z")


def test_an_incomplete_act_is_kept_as_a_ghost_and_the_answer_can_be_pasted(house: House):
    before = house.size()
    told = house.run("add", "João", "prometeu", "voltar", "--if-ok", "esperar", "--lang", "pt")
    assert told.status == 0
    assert "faltam: confirmed_by, if_doubt, if_not" in told.out
    command = next(line.strip() for line in told.out.splitlines() if "logline complete" in line)
    pasted = re.sub("'…'", "feito", command).split()
    record = house.ok(*pasted[1:])
    assert (record["status"], record["seq"], record["confirmed_by"]) == ("valid", 1, "feito")
    assert (record["who"], record["did"]) == ("João", "prometeu")
    assert house.size() == before + 2


def test_what_does_not_fit_is_kept_verbatim_and_never_refused(house: House):
    record = house.ok(
        "add", "Ana", "viu", "porta", *NINE, "--when", "quando calhar", "--type", "coisa",
        "--details", "não é JSON", "--set", "duration_ms=muito", "--status", "talvez",
    )  # fmt: skip
    assert record["status"] == "ghost"
    given = record["details"]["given"]
    assert given["when"] == "quando calhar"
    assert (given["type"], given["status"]) == ("coisa", "talvez")
    assert (given["details"], given["duration_ms"]) == ("não é JSON", "muito")


def test_json_and_text_on_stdin_are_acts_too(house: House):
    written = json.dumps({"who": "Ana", "did": "ligou", "this": "cliente", "extra": 1})
    record = house.ok("add", written)
    assert (record["who"], record["status"]) == ("Ana", "ghost")
    assert "when" in record["missing"]
    assert record["details"]["extra"] == {"extra": 1}
    raw = house.ok("add", "-", given="isto não é JSON")
    assert raw["details"]["given"]["raw"] == "isto não é JSON"
    assert raw["missing"][:3] == ["who", "did", "this"]


def test_nothing_said_and_unknown_words_end_with_two_and_write_nothing(house: House):
    before = house.size()
    for words in (
        ["add"],
        ["add", "a", "--nada", "x"],
        ["nada"],
        ["confirm"],
        ["add", "a", "--seq", "x"],
    ):
        done = house.run(*words, "--json")
        assert done.status == 2, words
        assert done.problem["exit_status"] == 2
        assert done.problem["remedy"]
    assert house.run("--lang", "xx", "version").status == 2
    assert house.size() == before


def test_the_same_id_and_seq_with_other_bytes_is_a_conflict(house: House):
    identity = str(uuid4())
    house.ok("add", "Ana", "abriu", "loja", *NINE, "--id", identity, "--seq", "0")
    done = house.run(
        "add", "Ana", "fechou", "loja", *NINE, "--id", identity, "--seq", "0", "--json"
    )
    assert (done.status, done.problem["code"]) == (4, "conflict")


def test_gestures_are_found_by_id_prefix_and_position_and_obey_the_statuses(house: House):
    record = house.ok("add", "João", "cobrou", "mesa 4", *NINE)
    position = record["position"]
    confirmed = house.ok("confirm", f"#{position}", "--actor", "Ana", "--note", "vi eu")
    assert (confirmed["status"], confirmed["who"], confirmed["seq"]) == ("confirmed", "Ana", 1)
    assert confirmed["details"] == {"note": "vi eu"}
    refused = house.run("deny", record["id"], "--yes", "--json")
    assert (refused.status, refused.problem["code"]) == (7, "move_not_allowed")
    doubted = house.ok("question", record["id"])
    assert doubted["status"] == "under_review"
    noted = house.ok("annotate", f"@{position}", "chegou aberta")
    assert (noted["status"], noted["seq"]) == ("under_review", 3)
    missing = house.run("confirm", str(uuid4()), "--json")
    assert (missing.status, missing.problem["code"]) == (3, "not_found")


def test_a_heavy_gesture_tells_its_consequence_and_waits_for_a_yes(house: House):
    record = house.ok("add", "João", "partiu", "copo", *NINE)
    before = house.size()
    asked = house.run("deny", record["id"], "--lang", "pt")
    assert asked.status == 7
    assert "abrir caso" in asked.err
    assert "--yes" in asked.err
    assert house.size() == before
    assert house.ok("deny", record["id"], "--yes")["status"] == "denied"


def test_answers_and_faults_are_told_in_the_language_of_the_caller(house: House):
    pt, en = (house.run("confirm", "zzz", "--lang", lang) for lang in ("pt", "en"))
    assert (pt.status, en.status) == (2, 2)
    assert "não é um id" in pt.err
    assert "is no id" in en.err
    assert "código invalid_input" in pt.err
    assert "\x1b[" not in pt.err
    problem = house.run("confirm", "zzz", "--json", LOGLINE_LANG="pt").problem
    assert "não é um id" in problem["detail"]


def test_control_characters_of_a_record_never_reach_the_terminal(house: House):
    told = house.run("add", "mau\x1b[2J", "fez", "x\u202e", *NINE)
    assert told.status == 0
    assert "\x1b" not in told.out
    assert "\u202e" not in told.out
    assert "\\x1b" in told.out


def test_ingest_twice_adds_nothing_and_loses_no_line(house: House, tmp_path: Path):
    act = {
        "did": "passou", "this": "porta", "when": "2026-01-02T03:04:05Z",
        "confirmed_by": "sensor", "if_ok": "a", "if_doubt": "b", "if_not": "c",
    }  # fmt: skip
    lines = [json.dumps({"who": f"c{n}", **act}) for n in range(2500)]
    lines += ["{ isto está partido", "texto solto"]
    file = tmp_path / "atos.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    before = house.size()
    first = house.ok("ingest", str(file))
    assert (first["lines"], first["added"], first["present"], first["ghosts"]) == (2502, 2502, 0, 2)
    again = house.ok("ingest", str(file))
    assert (again["added"], again["present"]) == (0, 2502)
    piped = house.ok("ingest", "-", "--source", "atos.jsonl", given=file.read_bytes())
    assert (piped["added"], piped["present"]) == (0, 2502)
    assert house.size() == before + 2502
    absent = house.run("ingest", str(tmp_path / "nada"), "--json")
    assert (absent.status, absent.problem["code"]) == (3, "not_found")


def test_a_git_history_comes_in_once(house: House, tmp_path: Path):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=Ana", "-c", "user.email=ana@example.org"]
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for name in ("um", "dois"):
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", name], check=True)
    assert house.ok("import", "git", str(tmp_path))["added"] == 2
    assert house.ok("import", "git", str(tmp_path))["added"] == 0


def test_a_scenario_told_twice_adds_nothing(house: House):
    words = ("scenario", "casa", "--days", "1", "--lines", "60", "--start", "2026-01-05")
    first = house.ok(*words, "--tenant", "exemplo")
    assert first["added"] == first["lines"] >= 50
    again = house.ok(*words, "--tenant", "exemplo")
    assert (again["added"], again["present"]) == (0, first["added"])
    few = house.run("scenario", "casa", "--days", "30", "--lines", "10", "--json")
    assert (few.status, few.problem["fields"]["field"]) == (2, "lines")


def test_a_wrapped_command_keeps_its_output_and_status_and_leaves_two_records(house: House):
    before = house.size()
    done = house.run(
        "wrap", "--did", "testar", "--", "sh", "-c", "echo saída; echo erro >&2; exit 3"
    )
    assert (done.status, done.out) == (3, "saída\n")
    assert "erro\n" in done.err
    assert house.size() == before + 2
    last = house.ok("annotate", f"@{before + 1}", "visto")
    assert (last["did"], last["output"]["exit_status"], last["seq"]) == ("testar", 3, 2)
    assert house.run("wrap", "--", "nao-existe-tal-coisa").status == 127
    assert house.run("wrap", "--", "sh", "-c", "kill -9 $$").status == 137
    assert house.run("wrap").status == 2


def test_a_wrapped_command_runs_without_its_node_and_its_record_enters_later(house: House):
    before = house.size()
    words = ("wrap", "--", "sh", "-c", "echo vive; exit 5")
    done = house.run(*words, DATABASE_URL="postgresql://127.0.0.1:1/nada?connect_timeout=1")
    assert (done.status, done.out) == (5, "vive\n")
    spooled = list((house.home / "spool").glob("*.jsonl"))
    assert len(spooled) == 1
    assert house.size() == before + 2  # opening the node let it in
    assert list((house.home / "spool").glob("*.jsonl")) == []


def test_an_own_key_signs_and_the_node_cannot_speak_in_its_name(house: House, tmp_path: Path):
    file = tmp_path / "joao.key"
    public = house.ok("key", "new", str(file))["public_key"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert house.run("key", "new", str(file)).status == 2
    house.ok("key", "enrol", public, "Rita", "--role", "courier")
    refused = house.run("add", "Rita", "levou", "caixa", *NINE, "--json")
    assert (refused.status, refused.problem["code"]) == (7, "key_not_trusted")
    signed = house.ok("add", "Rita", "levou", "caixa", *NINE, "--key", str(file))
    assert signed["public_key"] == public
    house.ok("key", "revoke", public, "--yes")
    late = house.run("add", "Rita", "levou", "outra", *NINE, "--key", str(file), "--json")
    assert (late.status, late.problem["code"]) == (7, "key_not_trusted")
    keys = {one["public_key"]: one for one in house.ok("key", "list")["keys"]}
    assert keys[public]["status"] == "revoked"


def test_actors_and_tenants_are_listed_and_a_repeat_adds_nothing(house: House):
    house.ok("actor", "add", "Ana", "--role", "manager", "--title", "Ana Reis")
    before = house.size()
    house.ok("actor", "add", "Ana", "--role", "manager", "--title", "Ana Reis")
    assert house.size() == before
    actors = house.ok("actor", "list")["actors"]
    assert {"name": "Ana", "role": "manager"}.items() <= actors[-1].items()
    assert house.ok("tenant", "add", "pensao")["founded"] is True
    assert house.ok("tenant", "add", "pensao")["founded"] is False
    assert house.ok("add", "Ana", "abriu", "porta", *NINE, "--tenant", "pensao")["position"] == 2
    unknown = house.run("add", "Ana", "abriu", "porta", *NINE, "--tenant", "nenhures", "--json")
    assert (unknown.status, unknown.problem["code"]) == (3, "unknown_tenant")


def test_a_forgotten_person_cannot_be_read_and_forgetting_twice_finds_nobody(house: House):
    record = house.ok(
        "add", "Ana", "registou", "entrada", *NINE, "--details", '{"telefone": "912 345 678"}',
        "--personal", "hospede.204:details.telefone",
    )  # fmt: skip
    assert record["details"]["telefone"].startswith("pessoal:1:")
    assert house.run("forget", "hospede.204").status == 7
    house.ok("forget", "hospede.204", "--yes")
    gone = house.run("forget", "hospede.204", "--yes", "--json")
    assert (gone.status, gone.problem["code"]) == (3, "not_found")


def test_distribution_shows_the_reviewed_file_and_refuses_a_plain_server(house: House):
    shown = house.ok("db", "distribute")
    assert "create_distributed_table('ledger.universal_registry'" in shown["sql"]
    assert shown["ran"] is False
    refused = house.run("db", "distribute", "--run", "--yes", "--json")
    assert (refused.status, refused.problem["code"]) == (2, "misconfigured")
    assert house.ok("db", "status")["pending"] == []


def test_settings_show_no_secret_and_a_wrong_one_is_named(house: House):
    shown = house.run("settings", "--json", DATABASE_URL="postgresql://u:segredo@h/d")
    assert "segredo" not in shown.out + shown.err
    assert shown.document["LOGLINE_TENANT"] == "casa"
    wrong = house.run("settings", "--json", LOGLINE_TIMEZONE="Lua/Cratera")
    assert (wrong.status, wrong.problem["fields"]["setting"]) == (2, "LOGLINE_TIMEZONE")


def test_up_tells_live_what_two_processes_write_and_stops_well(
    house: House, live: Callable[..., Live]
):
    first, second = live(house, "--last", "3"), live(house, "--last", "0")
    assert first.wait_for("started")["origin"] == "log.example.org/casa"
    second.wait_for("started")
    written = house.ok("add", "João", "chegou", "agora mesmo", *NINE)
    for one in (first, second):
        one.wait_for("record", id=written["id"], seq=0)
    assert first.stop(signal.SIGINT) == 0
    again = house.ok("confirm", written["id"])
    second.wait_for("record", id=again["id"], seq=1)
    assert second.stop(signal.SIGTERM) == 0
    assert first.events[-1] == second.events[-1] == {"event": "stopped"}
    told = [one["record"]["position"] for one in first.events if one["event"] == "record"]
    assert told == sorted(set(told))


def test_the_example_house_is_told_once_and_a_killed_up_starts_again(
    home: Path, live: Callable[..., Live]
):
    house = House(home)
    first = live(house, "--demo", "--last", "1")
    first.wait_for("started")
    told = house.size()
    assert told > 3000 + 33
    written = house.ok("add", "João", "chegou", "antes", *NINE)
    first.wait_for("record", id=written["id"])
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    again = live(house, "--demo")
    again.wait_for("started")
    again.wait_for("record", id=written["id"])
    assert told < house.size() < told + 1000, "what follows is added, the house is not told again"
    assert again.stop(signal.SIGINT) == 0
    assert house.ok("confirm", written["id"])["status"] == "confirmed"


def test_help_answers_at_once_and_a_closed_pipe_is_no_error(house: House):
    spent = []
    for _ in range(5):
        begun = time.perf_counter()
        assert house.run("--help").status == 0
        spent.append(time.perf_counter() - begun)
    assert min(spent) < 0.5
    shell = f"{LOGLINE} --help | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", shell], capture_output=True, check=False, text=True, env=house.environment
    )
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""
