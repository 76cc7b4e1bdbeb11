"""Settings: where each comes from, what is refused by name, and what is never shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loglineos.base.errors import Misconfigured
from loglineos.settings import CONFIG_FILE, SETTINGS, Settings, read_settings, write_config

ENVIRONMENT: dict[str, tuple[str, str, Any]] = {
    "DATABASE_URL": ("database_url", "postgresql://u:s3cr3t@h/d", "postgresql://u:s3cr3t@h/d"),
    "LOGLINE_TENANT": ("tenant", "pensao", "pensao"),
    "LOGLINE_ACTOR": ("actor", "João", "João"),
    "LOGLINE_ORIGIN": ("origin", "log.example.org/casa", "log.example.org/casa"),
    "LOGLINE_WITNESSES": ("witnesses", "/etc/policy", Path("/etc/policy")),
    "LOGLINE_CHECKPOINT_SECONDS": ("checkpoint_seconds", "2.5", 2.5),
    "LOGLINE_TIMEZONE": ("timezone", "America/Sao_Paulo", "America/Sao_Paulo"),
    "LOGLINE_LANG": ("language", "pt_PT.UTF-8", "pt"),
    "LOGLINE_PASSPHRASE": ("passphrase", "s3cr3t", "s3cr3t"),
    "LOGLINE_ALLOW_SUPERUSER": ("allow_superuser", "sim", True),
    "LOGLINE_OTLP_ENDPOINT": ("otlp_endpoint", "http://[::1]:4318/a", "http://[::1]:4318/a"),
    "LOGLINE_METRICS_PORT": ("metrics_port", "9464", 9464),
    "LOGLINE_LOG": ("log", "JSON", "json"),
}
OTHER = {
    "database_url": "host=x dbname=y", "tenant": "outra", "actor": "ana", "origin": "o.example/x",
    "witnesses": "/w", "checkpoint_seconds": 9, "timezone": "UTC", "language": "en",
    "allow_superuser": False, "otlp_endpoint": "https://otel.example", "metrics_port": 9465,
    "log": "quiet",
}  # fmt: skip
BAD = {
    "DATABASE_URL": ["mysql://u:s3cr3t@h/d", "s3cr3t"],
    "LOGLINE_TENANT": ["Casa", "1a", "a" * 64, "@root", "a b"],
    "LOGLINE_ORIGIN": ["https//é", "-x", " "],
    "LOGLINE_CHECKPOINT_SECONDS": ["0", "-1", "nan", "inf", "depressa", "3601"],
    "LOGLINE_TIMEZONE": ["Lisboa", "../etc/passwd", "/etc/passwd"],
    "LOGLINE_LANG": ["klingon", "português"],
    "LOGLINE_ALLOW_SUPERUSER": ["talvez", "2"],
    "LOGLINE_OTLP_ENDPOINT": ["4318", "ftp://h", "http://ana:s3cr3t@h/", "http://h/?k=s3cr3t"],
    "LOGLINE_METRICS_PORT": ["0", "65536", "-1", "nove", "٩٤٦٤"],
    "LOGLINE_LOG": ["xml", "1"],
}


def read(home: Path, environment: dict[str, str] | None = None, **chosen: Any) -> Settings:
    return read_settings({"LOGLINE_HOME": str(home), **(environment or {})}, **chosen)


def test_every_setting_has_a_meaning_in_both_languages():
    for setting in SETTINGS:
        assert all((setting.about.pt, setting.about.en, setting.default.pt, setting.default.en))
    assert len({setting.variable for setting in SETTINGS}) == len(SETTINGS)


def test_without_anything_the_defaults_hold(tmp_path: Path):
    found = read(tmp_path)
    assert (found.home, found.tenant, found.database_url) == (tmp_path, "casa", None)
    assert (found.checkpoint_seconds, found.timezone) == (1.0, "Europe/Lisbon")
    assert (found.language, found.actor, found.passphrase) == ("en", "operador", None)
    assert found.allow_superuser is False
    assert (found.keys_folder, found.guard_folder) == (tmp_path / "keys", tmp_path / "guard")
    assert str(found.zone) == "Europe/Lisbon"


@pytest.mark.parametrize("variable", ENVIRONMENT)
def test_the_choice_wins_over_environment_over_file_over_default(tmp_path: Path, variable: str):
    name, text, value = ENVIRONMENT[variable]
    if name in OTHER:
        write_config(tmp_path, **{name: OTHER[name]})
        expected = Path(str(OTHER[name])) if name == "witnesses" else OTHER[name]
        assert getattr(read(tmp_path), name) == expected
    assert getattr(read(tmp_path, {variable: text}), name) == value
    assert getattr(read(tmp_path, {variable: ""}, **{name: text}), name) == value
    if name in OTHER:
        chosen = read(tmp_path, {variable: text}, **{name: OTHER[name]})
        assert getattr(chosen, name) != value


def test_the_chosen_home_wins_and_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path / "b", tenant="pensao")
    found = read_settings({"LOGLINE_HOME": str(tmp_path / "a")}, home=tmp_path / "b")
    assert (found.home, found.tenant) == (tmp_path / "b", "pensao")
    assert read_settings({"LOGLINE_HOME": "b"}).home == tmp_path / "b"


@pytest.mark.parametrize(("variable", "text"), [(v, t) for v, ts in BAD.items() for t in ts])
def test_a_wrong_value_is_refused_by_name(tmp_path: Path, variable: str, text: str):
    with pytest.raises(Misconfigured) as refusal:
        read(tmp_path, {variable: text})
    assert refusal.value.fields["setting"] == variable
    assert "s3cr3t" not in str(refusal.value.as_problem("pt"))


@pytest.mark.parametrize("text", ["{", "[]", '"x"', '{"tenant": ["a"]}', '{"tenant": {"a": 1}}'])
def test_a_wrong_file_is_named(tmp_path: Path, text: str):
    (tmp_path / CONFIG_FILE).write_text(text)
    with pytest.raises(Misconfigured):
        read(tmp_path)


def test_no_secret_is_shown_or_kept_by_the_file(tmp_path: Path):
    found = read(tmp_path, {v: text for v, (_, text, _) in ENVIRONMENT.items()})
    assert "s3cr3t" not in repr(found) + str(found) + str(found.__rich_repr__())
    (tmp_path / CONFIG_FILE).write_text('{"passphrase": "x"}')
    assert read(tmp_path).passphrase is None


def test_the_file_is_replaced_whole_and_keeps_what_it_had(tmp_path: Path):
    write_config(tmp_path, tenant="casa", origin="a.example/x")
    before = (tmp_path / CONFIG_FILE).stat().st_ino
    write_config(tmp_path, tenant="pensao")
    path = tmp_path / CONFIG_FILE
    assert json.loads(path.read_text()) == {"tenant": "pensao", "origin": "a.example/x"}
    assert path.stat().st_ino != before
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == [CONFIG_FILE]
