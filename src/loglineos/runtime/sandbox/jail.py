"""The jail of the operating system: what code of strangers runs behind, besides its interpreter.

Layers: `landlock` (no files, no TCP, no signals to others), `seccomp` (a short list of syscalls),
`namespaces` (no network). Beside them, always: no_new_privs, no capabilities, rlimits, death with
the parent, an empty environment. As root, the worker also becomes nobody.

Always holds: a layer that this kernel lacks stops the start, unless its name is allowed to be
missing by the operator.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import marshal
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from loglineos.base.errors import Misconfigured
from loglineos.base.language import Text
from loglineos.runtime.sandbox import jail_launcher

LAYERS: Final = frozenset(jail_launcher.LAYERS)
EXIT_REFUSED: Final = jail_launcher.EXIT_REFUSED
"""Exit status of a command that could not be put behind its layers."""
SETTING: Final = "sandbox.layers_missing_allowed"
_PROBE_S_MAX: Final = 10.0
_SHEBANG_BYTES_MAX: Final = 250
_LIBRARIES: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
_CAPABILITIES_OF_RUNNER: Final = (5, 6, 7)  # KILL, SETGID, SETUID: its workers become nobody
_MIB: Final = 1024 * 1024
_LOADER: Final = re.compile(rb"/[^\0]*/ld[-.\w]*\.so[.\d]*(?=\0)")


class Layers(msgspec.Struct, frozen=True, kw_only=True):
    """What this kernel lacks of `LAYERS`, and the version of its Landlock (0: none)."""

    missing: frozenset[str]
    landlock_version: int


class Binary(msgspec.Struct, frozen=True, kw_only=True):
    """The engine's program: where it is, which version, and the sha256 of its bytes, hex."""

    path: str
    version: str
    sha256: str

    @property
    def engine(self) -> str:
        """Name it as the header of an execution does: `monty/1.4.0+0123456789ab`."""
        return f"monty/{self.version}+{self.sha256[:12]}"


def offered() -> Layers:
    """Try every layer in a process of its own and tell which are missing (about 10 ms)."""
    if not sys.platform.startswith("linux"):
        return Layers(missing=LAYERS, landlock_version=0)
    try:
        done = subprocess.run(
            [interpreter(), "-I", "-S", jail_launcher.__file__, "--probe"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={},
            timeout=_PROBE_S_MAX,
            check=True,
        )
        version, *missing = done.stdout.decode().split()
    except (OSError, subprocess.SubprocessError, ValueError):
        return Layers(missing=LAYERS, landlock_version=0)
    return Layers(missing=frozenset(missing), landlock_version=int(version))


def require(allowed: Iterable[str]) -> Layers:
    """Return what this kernel offers, if nothing is missing but what is `allowed` to be.

    Raises:
        Misconfigured: a layer is missing and not allowed to be, or `allowed` names no layer.
    """
    allowed = frozenset(allowed)
    if unknown := allowed - LAYERS:
        raise Misconfigured(setting=SETTING, reason=_unknown(unknown))
    layers = offered()
    if refused := layers.missing - allowed:
        raise absent(refused)
    return layers


def absent(layers: Iterable[str]) -> Misconfigured:
    """Return the error that names layers which are needed and not there."""
    return Misconfigured(
        setting=SETTING, layers=sorted(layers), reason=_absent(layers), remedy=_REMEDY
    )


def monty() -> Binary:
    """Find the engine's program and check its bytes against the installed package's own record.

    Raises:
        Misconfigured: it is not there, or its bytes are not those that were installed.
    """
    try:
        distribution = importlib.metadata.distribution("pydantic-monty-runtime")
    except importlib.metadata.PackageNotFoundError as cause:
        raise Misconfigured(setting="sandbox.engine", reason=_NO_ENGINE) from cause
    for file in distribution.files or ():
        if file.name == "monty" and file.hash is not None:
            path = Path(str(file.locate())).resolve()
            recorded = file.hash.value
            break
    else:
        raise Misconfigured(setting="sandbox.engine", reason=_NO_ENGINE)
    try:
        with path.open("rb") as content:
            found = hashlib.file_digest(content, "sha256")
    except OSError as cause:
        raise Misconfigured(setting="sandbox.engine", reason=_NO_ENGINE) from cause
    if base64.urlsafe_b64encode(found.digest()).decode().rstrip("=") != recorded.rstrip("="):
        raise Misconfigured(setting="sandbox.engine", reason=_OTHER_ENGINE)
    return Binary(path=str(path), version=distribution.version, sha256=found.hexdigest())


def worker_plan(
    binary: str,
    *,
    missing_allowed: Iterable[str] = (),
    inherited: Iterable[str] = (),
    memory_bytes: int = 1024 * _MIB,
    profile: str = "worker",
    readable: Sequence[str] = (),
    cpu_s: int | None = None,
) -> dict[str, Any]:
    """Plan the jail of one program: it may run itself and read its libraries and `readable`.

    `inherited` are layers that its starter is behind already, so that the kernel may refuse them a
    second time. `profile` "python" is for a whole CPython; `readable` are files and folders, which
    it may list.
    """
    limits = {"CORE": 0, "FSIZE": 0, "NOFILE": 64, "MEMLOCK": 0, "AS": memory_bytes}
    if cpu_s is not None:
        limits["CPU"] = cpu_s
    return {
        "profile": profile,
        "required": sorted(LAYERS - frozenset(missing_allowed)),
        "inherited": sorted(inherited),
        "read": [*_LIBRARIES, "/usr/share/zoneinfo", *(p for p in readable if Path(p).is_file())],
        "list": [p for p in readable if Path(p).is_dir()],
        "execute": _executable(binary),
        "limits": limits,
        "nice": 5,
        "nobody": _runs_for_all(binary) and all(_open_to_all(Path(p)) for p in readable),
    }


def runner_plan(
    binary: Binary,
    launcher: str | None,
    *,
    missing_allowed: Iterable[str] = (),
    readable: Sequence[str] = (),
) -> dict[str, Any]:
    """Plan the jail of our own runner: it starts jailed workers, reads our code, writes nothing.

    `readable` are folders that it may list and read besides.
    """
    python = interpreter()
    paths = sysconfig.get_paths()
    folders = {
        *(paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        str(Path(__file__).resolve().parents[2]),
        "/usr/share/zoneinfo",
        *readable,
    }
    library = str(Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib"))
    execute = {*_executable(python), *_executable(binary.path)}
    if launcher is not None:
        folders.add(str(Path(launcher).parent))
        execute |= {launcher, *_executable(str(Path("/bin/sh").resolve()))}
    return {
        "profile": "runner",
        "required": sorted(LAYERS - frozenset(missing_allowed)),
        "read": [*_LIBRARIES, library, "/dev/urandom", "/sys/fs/cgroup", "/proc/self"],
        "list": sorted(path for path in folders if Path(path).is_dir()),
        "execute": sorted(execute),
        "write": ["/dev/null"],
        "limits": {"CORE": 0, "NOFILE": 4096, "MEMLOCK": 0},
        "nobody": False,
        "keep_capabilities": _CAPABILITIES_OF_RUNNER,
    }


def command(plan: dict[str, Any], argv: Sequence[str]) -> list[str]:
    """Return the command that starts `argv` (its first word absolute) in the jail of `plan`."""
    head = [interpreter(), "-I", "-S", jail_launcher.__file__]
    return [*head, marshal.dumps(plan).hex(), "--", *argv]


def write_launcher(folder: Path, binary: Binary, plan: dict[str, Any]) -> Path:
    """Write an executable file that starts the engine in the jail of `plan`, whatever calls it.

    The engine's pool knows its workers by one path; this file is that path. It carries the
    launcher compiled, which halves the start. `folder` must be private, and may hold programs.

    Raises:
        Misconfigured: nothing in `folder` can be run (a file system mounted `noexec`).
    """
    source = Path(jail_launcher.__file__).read_text(encoding="utf-8")
    code = compile(source, "jail", "exec", dont_inherit=True, optimize=2)
    python = interpreter()
    path, compiled = folder / "monty-in-jail", folder / "monty-in-jail.code"
    compiled.write_bytes(marshal.dumps(code))
    body = (
        "import marshal, sys\n"
        f"names = {{'__name__': 'jail'}}\n"
        f"exec(marshal.loads(open({str(compiled)!r}, 'rb').read()), names)\n"
        f"names['main']({plan!r}, [{binary.path!r}, *sys.argv[1:]])\n"
    )
    head = f"#!{python} -IS\n"
    if " " in python or len(head) > _SHEBANG_BYTES_MAX:
        inner = folder / "monty-in-jail.py"
        inner.write_text(body, encoding="utf-8")
        words = f"{shlex.quote(python)} -IS {shlex.quote(str(inner))}"
        head, body = "#!/bin/sh\n", f'exec {words} "$@"\n'
    path.write_text(head + body, encoding="utf-8")
    path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    _try(path)
    return path


def _try(path: Path) -> None:
    try:
        done = subprocess.run(
            [str(path), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={},
            timeout=_PROBE_S_MAX,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as cause:
        raise Misconfigured(setting="sandbox.folder", reason=_NO_PROGRAMS) from cause
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-200:]
        raise Misconfigured(setting=SETTING, reason=_not_started(said))


def interpreter() -> str:
    """Return the path of the Python that runs us, outside any virtual environment."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    return os.path.realpath(base)


def _executable(path: str) -> list[str]:
    """Return a program's file and the loader that its ELF header names."""
    found = shutil.which(path) or path
    with open(found, "rb") as file:
        content = file.read(4096)
    loader = _LOADER.search(content) if content.startswith(b"\x7fELF") else None
    if loader is None:
        return [found]
    return [found, str(Path(os.fsdecode(loader[0])).resolve())]


def _runs_for_all(binary: str) -> bool:
    """Tell whether somebody who owns nothing may run this file, once it is open."""
    try:
        return bool(Path(binary).stat().st_mode & stat.S_IXOTH)
    except OSError:
        return False


def _open_to_all(path: Path) -> bool:
    """Tell whether somebody who owns nothing can reach and read this path."""
    resolved = path.resolve()
    try:
        reached = all(parent.stat().st_mode & stat.S_IXOTH for parent in resolved.parents)
        return reached and bool(resolved.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _unknown(names: Iterable[str]) -> Text:
    told, known = ", ".join(sorted(names)), ", ".join(sorted(LAYERS))
    return Text(
        f"não há camadas com estes nomes: {told}; há {known}",
        f"there are no layers of these names: {told}; there are {known}",
    )


def _absent(names: Iterable[str]) -> Text:
    told = ", ".join(sorted(names))
    return Text(
        f"este sistema não oferece as camadas de isolamento: {told}",
        f"this system does not offer the layers of isolation: {told}",
    )


def _not_started(said: str) -> Text:
    return Text(
        f"o motor não arranca atrás das camadas: {said}",
        f"the engine does not start behind the layers: {said}",
    )


_REMEDY: Final = Text(
    "use um Linux que as ofereça, ou autorize a falta de cada uma pelo nome em " + SETTING,
    "use a Linux that offers them, or allow each to be missing by its name in " + SETTING,
)
_NO_ENGINE: Final = Text(
    "o motor monty não está instalado com este pacote",
    "the monty engine is not installed with this package",
)
_OTHER_ENGINE: Final = Text(
    "o motor monty não é o que foi instalado: o sha256 é outro",
    "the monty engine is not the one that was installed: its sha256 differs",
)
_NO_PROGRAMS: Final = Text(
    "não se pode executar programas nesta pasta", "programs cannot be run from this folder"
)
