"""Loads the JavaScript machine's module: the pinned file, compiled once for this processor.

Always holds: the bytes that are compiled are those of quickjs/README.md; a compiled module is taken
from a folder only if nobody but this user or root can write there, and if its bytes are as written.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Final

from wasmtime import Engine, Module, WasmtimeError

from loglineos.base.errors import Misconfigured
from loglineos.base.language import Text
from loglineos.runtime.sandbox.quickjs import FOLDER, SHA256
from loglineos.runtime.sandbox.quickjs_machine import Machines, has_room, new_engine

_DIGEST_BYTES: Final = 32


def load(*, memory_bytes_max: int, cache_folder: Path | None) -> Machines:
    """Compile the machine's module, or take it compiled from `cache_folder`.

    Compiling takes about a second of one processor, reading 5 ms. A folder that is not private, or
    whose file is not what was written, is as good as none; what is compiled is kept there if it can
    be written.

    Raises:
        Misconfigured: the module's file is not the one that this version was built with.
    """
    engine = new_engine(memory_bytes_max)
    return Machines(
        engine,
        _module(engine, memory_bytes_max, cache_folder),
        world=(FOLDER / "world.wat").read_text(encoding="utf-8"),
        hands=(FOLDER / "hands.wat").read_text(encoding="utf-8"),
        memory_bytes_max=memory_bytes_max,
    )


def prepare(*, memory_bytes_max: int, cache_folder: Path) -> None:
    """Have the compiled module lie in `cache_folder`, for those who may only read there."""
    _module(new_engine(memory_bytes_max), memory_bytes_max, cache_folder)


def _module(engine: Engine, memory_bytes_max: int, cache_folder: Path | None) -> Module:
    room = "all" if has_room() else str(memory_bytes_max)
    name = f"{SHA256[:12]}-wasmtime-{version('wasmtime')}-{room}.cwasm"
    if cache_folder is not None:
        kept = _read(engine, cache_folder / name)
        if kept is not None:
            return kept
    content = (FOLDER / "quickjs.wasm").read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise Misconfigured(setting="sandbox.javascript", reason=_OTHER_FILE)
    module = Module(engine, content)
    if cache_folder is not None:
        _write(cache_folder / name, bytes(module.serialize()))
    return module


def _read(engine: Engine, path: Path) -> Module | None:
    """Return what lies there if it can be trusted: it is machine code that will run."""
    try:
        if not (_is_private(path.parent) and _is_private(path)):
            return None
        content = path.read_bytes()
        digest, compiled = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(compiled).digest() != digest:
            return None
        return Module.deserialize(engine, compiled)
    except (OSError, WasmtimeError):
        return None


def _write(path: Path, compiled: bytes) -> None:
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(path.parent):
            return
        file, name = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(file, "wb") as content:
                content.write(hashlib.sha256(compiled).digest())
                content.write(compiled)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)


def _is_private(path: Path) -> bool:
    """Tell if nobody but this user, or root, may change it."""
    state = path.lstat()
    is_ours = state.st_uid in (os.geteuid(), 0)
    return is_ours and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


_OTHER_FILE: Final = Text(
    "o ficheiro quickjs.wasm não é o desta versão: reinstale o pacote",
    "the file quickjs.wasm is not the one of this version: install the package again",
)
