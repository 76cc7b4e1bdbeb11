"""Settings: every knob of a node, from the environment, then `config.json`, then the default.

Always holds: each setting stands in `SETTINGS` with its meaning in both languages (the reference
page is made of it); a wrong value is refused by name before anything starts.
"""

# ruff: noqa: E501 - one entry a line reads as a table
from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import platformdirs

from loglineos.base.errors import Misconfigured, shape_of
from loglineos.base.language import Language, Text, language_of_environment

CONFIG_FILE: Final = "config.json"
_ORIGIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:/_-]{0,200}")
_DATABASE: Final = re.compile(r"postgres(ql)?://|\s*[a-z_]+\s*=")
_ENDPOINT: Final = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]+(/[^\s?#@]*)?")
_TENANT: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting: where it is read, what it means, what it is when nobody says."""

    variable: str
    key: str | None
    default: Text
    about: Text
    is_secret: bool = False


# fmt: off
SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(variable="LOGLINE_HOME", key=None, default=Text("a pasta de dados do utilizador", "the user's data folder"), about=Text("a pasta de dados: base de dados, chaves e guarda", "the data folder: database, keys and guard")),
    Setting(variable="DATABASE_URL", key="database_url", default=Text("o Postgres embutido", "the embedded Postgres"), about=Text("um PostgreSQL >= 15 em vez do embutido", "a PostgreSQL >= 15 in place of the embedded one"), is_secret=True),
    Setting(variable="LOGLINE_TENANT", key="tenant", default=Text("casa", "casa"), about=Text("a casa de que se fala quando não se diz outra", "the tenant meant when no other is named")),
    Setting(variable="LOGLINE_ACTOR", key="actor", default=Text("o utilizador do sistema", "the user of the operating system"), about=Text("em nome de quem se escreve na linha de comandos", "in whose name the command line writes")),
    Setting(variable="LOGLINE_ORIGIN", key="origin", default=Text("logline.invalid/ e 8 algarismos, feita por `logline init`", "logline.invalid/ and 8 digits, made by `logline init`"), about=Text("a origem dos logs deste nó, como um URL sem esquema; não muda mais", "the origin of this node's logs, like a URL without scheme; never changes")),
    Setting(variable="LOGLINE_WITNESSES", key="witnesses", default=Text("nenhuma", "none"), about=Text("um ficheiro tlog-policy com as testemunhas", "a tlog-policy file that names the witnesses")),
    Setting(variable="LOGLINE_CHECKPOINT_SECONDS", key="checkpoint_seconds", default=Text("1", "1"), about=Text("de quantos em quantos segundos se assina um checkpoint, se houver algo novo", "every how many seconds a checkpoint is signed, when there is anything new")),
    Setting(variable="LOGLINE_TIMEZONE", key="timezone", default=Text("Europe/Lisbon", "Europe/Lisbon"), about=Text("o fuso em que se mostram e leem horas sem fuso", "the zone in which times are shown, and read when they carry none")),
    Setting(variable="LOGLINE_LANG", key="language", default=Text("a do sistema (LANG)", "the system's (LANG)"), about=Text("pt ou en", "pt or en")),
    Setting(variable="LOGLINE_PASSPHRASE", key=None, default=Text("nenhuma: chaves em ficheiros 0600", "none: keys in files of mode 0600"), about=Text("a frase-passe que sela e abre as chaves", "the passphrase that seals and opens the keys"), is_secret=True),
    Setting(variable="LOGLINE_ROOT_KEY", key=None, default=Text("keys/root.key", "keys/root.key"), about=Text("a semente da chave raiz, 64 algarismos hexadecimais, em vez do ficheiro", "the seed of the root key, 64 hexadecimal digits, in place of the file"), is_secret=True),
    Setting(variable="LOGLINE_BACKUP_PASSPHRASE", key=None, default=Text("pergunta-se, num terminal", "asked for, on a terminal"), about=Text("a frase-passe que sela as chaves de uma cópia de segurança", "the passphrase that seals the keys of a backup"), is_secret=True),
    Setting(variable="LOGLINE_ALLOW_SUPERUSER", key="allow_superuser", default=Text("não", "no"), about=Text("deixa um nó com várias casas ligar-se como superutilizador (1)", "lets a node with several tenants connect as a superuser (1)")),
    Setting(variable="LOGLINE_OTLP_ENDPOINT", key="otlp_endpoint", default=Text("nenhum: não se exporta nada", "none: nothing is exported"), about=Text("para onde vão os traços das execuções: um coletor OTLP por HTTP; pede o extra `otlp`", "where the traces of executions go: an OTLP collector by HTTP; needs the extra `otlp`")),
    Setting(variable="LOGLINE_METRICS_PORT", key="metrics_port", default=Text("nenhuma: não se serve nada", "none: nothing is served"), about=Text("a porta de 127.0.0.1 em que `logline up` e `logline worker` servem /metrics ao Prometheus", "the port of 127.0.0.1 on which `logline up` and `logline worker` serve /metrics to Prometheus")),
    Setting(variable="LOGLINE_LOG", key="log", default=Text("quiet", "quiet"), about=Text("`json`: `logline up` e `logline worker` contam o que fazem em stderr, uma linha JSON de cada vez, se stderr não for um terminal", "`json`: `logline up` and `logline worker` tell what they do on stderr, one line of JSON at a time, where stderr is no terminal")),
    Setting(variable="NO_COLOR", key=None, default=Text("com cores num terminal", "with colours on a terminal"), about=Text("qualquer valor desliga as cores", "any value turns colours off")),
)
# fmt: on


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one node, checked."""

    home: Path
    database_url: str | None = None
    tenant: str = "casa"
    actor: str = "operador"
    origin: str | None = None
    witnesses: Path | None = None
    checkpoint_seconds: float = 1.0
    timezone: str = "Europe/Lisbon"
    language: Language = "en"
    passphrase: str | None = None
    allow_superuser: bool = False
    otlp_endpoint: str | None = None
    metrics_port: int | None = None
    log: Literal["json", "quiet"] = "quiet"

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Settings(home={str(self.home)!r}, tenant={self.tenant!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show no secret here either."""
        return [("home", self.home), ("tenant", self.tenant)]

    @property
    def zone(self) -> ZoneInfo:
        """The time zone as an object."""
        return ZoneInfo(self.timezone)

    @property
    def keys_folder(self) -> Path:
        """Where the keys are."""
        return self.home / "keys"

    @property
    def guard_folder(self) -> Path:
        """Where the guard of the signed checkpoints is."""
        return self.home / "guard"

    @property
    def spool_folder(self) -> Path:
        """Where acts wait while the ledger cannot be reached."""
        return self.home / "spool"


def read_settings(environment: Mapping[str, str] | None = None, **chosen: Any) -> Settings:
    """Read the settings; `chosen` (from flags or code, None = not chosen) wins over all.

    Raises:
        Misconfigured: a value is wrong; the error names the setting.
    """
    values = dict(os.environ if environment is None else environment)
    given = {name: value for name, value in chosen.items() if value is not None}
    home = Path(given.pop("home", None) or values.get("LOGLINE_HOME") or _default_home())
    home = home.expanduser().absolute()
    kept = _read_config(home)
    found: dict[str, Any] = {"home": home, "actor": _user(values)}
    for setting in SETTINGS[1:]:  # the home is known: it says where config.json is
        name = setting.key or setting.variable.removeprefix("LOGLINE_").lower()
        raw = values.get(setting.variable) or (kept.get(name) if setting.key else None)
        if name in Settings.__struct_fields__ and raw not in (None, ""):
            found[name] = _read(name, raw, setting.variable)
    if "language" not in found:
        found["language"] = language_of_environment(values)
    found.update({name: _read(name, value, name) for name, value in given.items()})
    return Settings(**found)


def write_config(home: Path, **values: Any) -> None:
    """Keep settings in `config.json` (atomically, mode 0600), beside those that are there."""
    kept = {**_read_config(home), **values}
    home.mkdir(parents=True, exist_ok=True)
    path = home / CONFIG_FILE
    draft = path.with_suffix(".new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(msgspec.json.format(msgspec.json.encode(kept, order="sorted")) + b"\n")
        out.flush()
        os.fsync(out.fileno())
    draft.replace(path)


def _default_home() -> str:
    return platformdirs.user_data_dir("logline", appauthor=False)


def _user(values: Mapping[str, str]) -> str:
    return values.get("USER") or values.get("LOGNAME") or "operador"


def _read_config(home: Path) -> dict[str, Any]:
    try:
        data = (home / CONFIG_FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.MsgspecError as cause:
        raise Misconfigured(setting=CONFIG_FILE, reason=_NO_CONFIG) from cause


def _read(name: str, raw: Any, variable: str) -> Any:
    if isinstance(raw, (list, dict)):
        raise Misconfigured(setting=variable, reason=_ONE_VALUE, shape=shape_of(raw))
    text = str(raw)
    if name == "witnesses":
        return Path(text).expanduser()
    if name == "checkpoint_seconds":
        return _seconds(text, variable)
    if name == "metrics_port":
        return _port(text, variable)
    if name in _CHOICES:
        return _choice(name, text, variable)
    if name == "database_url" and not _DATABASE.match(text):
        raise Misconfigured(setting=variable, reason=_BAD_DATABASE)
    if name == "otlp_endpoint" and not _ENDPOINT.fullmatch(text):
        raise Misconfigured(setting=variable, reason=_BAD_ENDPOINT)
    checks = {"tenant": (_TENANT, _BAD_TENANT), "origin": (_ORIGIN, _BAD_ORIGIN)}
    if name in checks and not checks[name][0].fullmatch(text):
        raise Misconfigured(setting=variable, reason=checks[name][1], shape=shape_of(text))
    if name == "timezone":
        try:
            ZoneInfo(text)
        except (ZoneInfoNotFoundError, ValueError) as cause:
            raise Misconfigured(setting=variable, reason=_BAD_ZONE) from cause
    return text


def _choice(name: str, text: str, variable: str) -> Any:
    for value, spellings in _CHOICES[name].items():
        if spellings.fullmatch(text.lower()):
            return value
    raise Misconfigured(setting=variable, reason=_BAD_CHOICE[name], shape=shape_of(text))


def _seconds(text: str, variable: str) -> float:
    try:
        seconds = float(text)
    except ValueError as cause:
        raise Misconfigured(setting=variable, reason=_BAD_SECONDS) from cause
    if not 0.05 <= seconds <= 3600:
        raise Misconfigured(setting=variable, reason=_BAD_SECONDS)
    return seconds


def _port(text: str, variable: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65_535):
        raise Misconfigured(setting=variable, reason=_BAD_PORT, shape=shape_of(text))
    return int(text)


_CHOICES: Final[dict[str, dict[Any, re.Pattern[str]]]] = {
    "allow_superuser": {
        True: re.compile("1|true|yes|sim|on"),
        False: re.compile("0|false|no|não|nao|off"),
    },
    "log": {"json": re.compile("json"), "quiet": re.compile("quiet")},
    "language": {"pt": re.compile("pt([_.-].*)?"), "en": re.compile("en([_.-].*)?|c(\\..*)?")},
}
_BAD_CHOICE: Final = {
    "allow_superuser": Text("use 1 ou 0", "use 1 or 0"),
    "language": Text("use pt ou en", "use pt or en"),
    "log": Text("use json ou quiet", "use json or quiet"),
}
_BAD_DATABASE: Final = Text(
    "use postgresql://utilizador@servidor/base ou host=... dbname=...",
    "use postgresql://user@host/database or host=... dbname=...",
)
_BAD_ENDPOINT: Final = Text(
    "use um URL http(s) sem credenciais, p. ex. http://127.0.0.1:4318",
    "use an http(s) URL without credentials, e.g. http://127.0.0.1:4318",
)
_BAD_PORT: Final = Text("use um número de 1 a 65535", "use a number from 1 to 65535")
_ONE_VALUE: Final = Text("tem de ser um só valor", "must be a single value")
_NO_CONFIG: Final = Text("não é JSON; corrija-o ou apague-o", "is no JSON; correct or delete it")
_BAD_TENANT: Final = Text(
    "use 1 a 63 letras minúsculas, algarismos ou hífen, começando por letra",
    "use 1 to 63 lower-case letters, digits or hyphens, beginning with a letter",
)
_BAD_ORIGIN: Final = Text(
    "use um URL sem esquema, p. ex. log.example.org/casa",
    "use a URL without scheme, e.g. log.example.org/casa",
)
_BAD_ZONE: Final = Text("não conheço este fuso", "no such time zone")
_BAD_SECONDS: Final = Text("use um número de 0.05 a 3600", "use a number from 0.05 to 3600")
