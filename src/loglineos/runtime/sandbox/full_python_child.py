"""The other end of `full_python.py`: runs one program in a whole CPython, in a jail of its own.

The host gives this file's text to a bare interpreter (`python -I -S -B -c TEXT`), so it stands
alone. It talks by frames: four bytes of length, then JSON. The host believes nothing that comes
from here: a program in a whole Python owns its process, and so the other end of the pipe.
"""

import builtins
import datetime as dt
import decimal
import importlib.abc
import importlib.util
import json
import os
import random
import sys
import threading
import time
import traceback
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PROGRAM = "<program>"
_ALLOWED_ERRORS = ("RuntimeError", "ValueError", "TimeoutError", "PermissionError", "KeyError")
_NODES_MAX = 100_000
_INTEGER_MAX = 2**53 - 1


class PrintedTooMuch(RuntimeError):
    """More was printed than is kept."""


class Printed:
    """Stands for the standard output: keeps what is printed until the next turn tells it."""

    encoding = "utf-8"
    errors = "strict"

    def __init__(self, most: int) -> None:
        self._room = most
        self._parts: list[str] = []
        self.is_over = False

    def write(self, text: str) -> int:
        """Keep the text, up to the limit."""
        size = len(text.encode(errors="replace"))
        if size > self._room:
            self.is_over = True
            self._room = 0
            raise PrintedTooMuch("too much printed")
        self._room -= size
        self._parts.append(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: what is printed goes with the next turn."""

    def isatty(self) -> bool:
        """Tell that nobody is looking."""
        return False

    def take(self) -> str:
        """Return what was printed since the last turn."""
        text, self._parts = "".join(self._parts), []
        return text.encode(errors="replace").decode()


class Host:
    """The pipe to the host."""

    def __init__(self, given: int, told: int) -> None:
        self._in, self._out = given, told
        self.printed = Printed(0)
        self._lock = threading.Lock()

    def tell(self, message: "dict[str, Any]") -> None:
        """Send one frame."""
        message["printed"] = self.printed.take()
        content = json.dumps(message, allow_nan=False).encode()
        frame = len(content).to_bytes(4, "big") + content
        while frame:
            frame = frame[os.write(self._out, frame) :]

    def hear(self) -> "Any":
        """Wait for the next frame; the host's end is ours too."""
        return json.loads(self._exactly(int.from_bytes(self._exactly(4), "big")))

    def ask(self, kind: str, name: str, args: "list[Any]", kwargs: "dict[str, Any]") -> "Any":
        """Stand still until the host has answered; one thread at a time."""
        with self._lock:
            told = {"args": plain(args), "kwargs": plain(kwargs)}
            self.tell({"turn": "suspended", "kind": kind, "name": name, **told})
            answer = self.hear()
        if "raised" in answer:
            name = answer["raised"] if answer["raised"] in _ALLOWED_ERRORS else "RuntimeError"
            raise getattr(builtins, name)(answer["message"])
        return revive(answer["value"])

    def _exactly(self, length: int) -> bytes:
        content = b""
        while len(content) < length:
            part = os.read(self._in, length - len(content))
            if not part:
                os._exit(0)
            content += part
        return content


class Prelude(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of the prelude, before any of the packages."""

    def __init__(self, sources: "dict[str, str]") -> None:
        self._sources = sources

    def find_spec(self, fullname: str, *_: object) -> "Any":
        """Tell whether a module is ours."""
        if fullname not in self._sources:
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def exec_module(self, module: types.ModuleType) -> None:
        """Run a module of the prelude."""
        name = module.__name__
        code = compile(self._sources[name], f"<{name}>", "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 - running it is the point


def plain(value: "Any") -> "Any":
    """Return a value as JSON; the host has the last word about it."""
    return _plain(value, [_NODES_MAX], 64)


def _plain(value: "Any", budget: "list[int]", depth: int) -> "Any":
    budget[0] -= 1
    if budget[0] < 0 or depth < 0:
        raise ValueError("the value has too many parts or is nested too deep")
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        if abs(value) > _INTEGER_MAX:
            raise ValueError("integer beyond 2^53-1; write it as text")
        return value
    if kind is float:
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError("not a finite number")
        return value
    if kind is str:
        value.encode()
        return value
    if kind in (list, tuple):
        return [_plain(item, budget, depth - 1) for item in value]
    if kind is dict:
        for key in value:
            if type(key) is not str:
                raise TypeError("keys must be text")
        return {key: _plain(item, budget, depth - 1) for key, item in value.items()}
    if kind is bytes:
        return {"$bytes": value.hex()}
    if kind is dt.datetime:
        aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        text = aware.astimezone(dt.UTC).isoformat(timespec="microseconds")
        return {"$time": text[:26] + "Z"}
    if kind is decimal.Decimal:
        return {"$decimal": str(value)}
    raise TypeError(f"this type does not cross the boundary: {kind.__name__}")


def revive(value: "Any") -> "Any":
    """Give bytes, instants and Decimals back."""
    if type(value) is list:
        return [revive(item) for item in value]
    if type(value) is not dict:
        return value
    if len(value) == 1:
        ((key, text),) = value.items()
        if type(text) is str:
            if key == "$bytes":
                return bytes.fromhex(text)
            if key == "$time":
                return dt.datetime.fromisoformat(text)
            if key == "$decimal":
                return decimal.Decimal(text)
    return {key: revive(item) for key, item in value.items()}


def capabilities(names: "list[str]", host: Host) -> None:
    """Make the modules whose functions ask the host: `ctx`, `ctx.ledger`."""
    for name in names:
        *folders, leaf = name.split(".")
        place: Any = None
        for depth, folder in enumerate(folders, 1):
            path = ".".join(folders[:depth])
            module = sys.modules.get(path)
            if module is None:
                module = sys.modules[path] = types.ModuleType(path)
                if place is not None:
                    setattr(place, folder, module)
            place = module
        setattr(place, leaf, _capability(name, host))


def _capability(name: str, host: Host) -> "Any":
    def call(*args: "Any", **kwargs: "Any") -> "Any":
        return host.ask("call", name, list(args), kwargs)

    call.__name__ = call.__qualname__ = name.rpartition(".")[2]
    return call


def where(error: BaseException) -> "list[str]":
    """List the lines of the program and its prelude, innermost last."""
    lines = []
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == PROGRAM:
            lines.append(f"line {frame.lineno} in {frame.name}")
        elif frame.filename.startswith("<") and frame.filename[1:-1] in sys.modules:
            lines.append(f"{frame.filename[1:-1]} line {frame.lineno} in {frame.name}")
    if isinstance(error, SyntaxError) and error.filename == PROGRAM:
        lines.append(f"line {error.lineno} in <module>")
    return lines[-20:]


def run(start: "dict[str, Any]", host: Host) -> "Any":
    """Run the program on its value."""
    sleep = time.sleep

    def durable_sleep(seconds: float) -> None:
        # Sleeping is the host's: it may put the whole run away for days.
        if threading.current_thread() is threading.main_thread():
            host.ask("os", "time.sleep", [seconds], {})
        else:
            sleep(seconds)

    time.sleep = durable_sleep  # type: ignore[assignment]
    random.seed(start["seed"])
    sys.setrecursionlimit(start["depth_max"])
    if start["packages"]:
        sys.path.append(start["packages"])
    capabilities(start["modules"], host)
    sys.meta_path.insert(0, Prelude(dict(start["prelude"])))
    names: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
    exec(compile(start["source"], PROGRAM, "exec", dont_inherit=True), names)  # noqa: S102
    entry = names.get(start["entry"])
    if not callable(entry):
        raise NameError(f"name '{start['entry']}' is not defined")  # noqa: TRY004
    answer = entry(revive(start["value"]))
    if isinstance(answer, types.CoroutineType):
        answer = awaited(answer)
    return plain(answer)


def awaited(coroutine: "Any") -> "Any":
    """Run an async function that never has to wait: what it asks for is answered at once."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise RuntimeError("there is no event loop here: call ctx without await")


def failure(error: BaseException) -> "dict[str, Any]":
    """Tell an exception."""
    limit = None
    if isinstance(error, MemoryError):
        limit = "memory"
    elif isinstance(error, RecursionError):
        limit = "depth"
    elif isinstance(error, PrintedTooMuch):
        limit = "size"
    try:
        message = str(error.args[0]) if error.args else ""
    except Exception:  # noqa: BLE001 - the program's own class may do anything
        message = ""
    return {
        "turn": "failed",
        "type": type(error).__name__,
        "message": message.encode(errors="replace").decode()[:2000],
        "where": where(error),
        "limit": limit,
    }


def main() -> None:
    """Take the pipe away from the program's standard streams, run, tell how it went."""
    host = Host(os.dup(0), os.dup(1))
    os.dup2(2, 0)
    os.dup2(2, 1)
    start = host.hear()
    host.printed = Printed(start["printed_max"])
    sys.stdout = sys.stderr = host.printed
    try:
        output = run(start, host)
        told = {"turn": "completed", "output": output}
        if host.printed.is_over:
            told = failure(PrintedTooMuch("too much printed"))
    except BaseException as error:  # noqa: BLE001 - SystemExit of the program is an outcome too
        told = failure(error)
        del error
    host.tell(told)
    os._exit(0)


if __name__ == "__main__":
    main()
