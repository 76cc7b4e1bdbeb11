"""Inside the runner: programs in JavaScript, each batch in a fresh machine made from its image.

A program is evaluated once, in a machine that holds nothing but the house's own code; the memory
that this leaves is its image. Each batch and each run gets a machine restored from it, and nothing
of that machine outlives the call.

Always holds: no host function, no host object and no live value of the machine is reachable from
either side: JSON text goes in and comes out; the same program, input, instant and seed give the
same output and use the same fuel, in every process on every day; while a source is loading there
is no time and no chance, because its image is made once for all.

Source: docs/explanation/sandbox.md; ECMAScript 2025.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
from blake3 import blake3

from loglineos.base.errors import ValueRefused
from loglineos.runtime.sandbox.frames import BatchText
from loglineos.runtime.sandbox.javascript_outcomes import (
    answer_of,
    batch_text,
    error_of,
    head_of,
    is_fatal,
    limited,
)
from loglineos.runtime.sandbox.limits import BATCH_LIMITS, PURE, SOURCE_BYTES_MAX, RunLimits
from loglineos.runtime.sandbox.quickjs import FOLDER
from loglineos.runtime.sandbox.quickjs_image import Image
from loglineos.runtime.sandbox.quickjs_machine import Machine, Stopped, Thrown
from loglineos.runtime.sandbox.quickjs_module import load
from loglineos.runtime.sandbox.turns import SCRIPT, Completed, Failed, Program, ProgramError
from loglineos.runtime.sandbox.values import canon

POLICY: Final = "on"
"""The entry of a policy."""
LOAD_FUEL: Final = PURE.fuel
"""What the evaluation of a source may use."""
IMAGE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Most memory that a source may fill while it loads."""
_IMAGES_BYTES_MAX: Final = 128 * 1024 * 1024


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """A program at rest, ready to be called; holds nothing of any tenant but its source."""

    entry: str
    image: Image
    fuel: int
    """What its source used while it loaded."""


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine gave: one JSON text or error for each input, or the failure of all."""

    answers: tuple[bytes | ProgramError, ...]
    error: ProgramError | None
    fuel: int
    printed: str


class JavaScript:
    """The engine of one process; may be used from many threads."""

    def __init__(
        self, *, memory_bytes_max: int = PURE.memory_bytes, cache_folder: Path | None = None
    ) -> None:
        """Keep the settings; the module is loaded at the first use, see `quickjs_module.load`."""
        self._memory_bytes_max = memory_bytes_max
        self._cache_folder = cache_folder
        self._lock = threading.Lock()
        self._base: tuple[Any, Image] | None = None
        self._compiled: OrderedDict[tuple[str, str], Compiled | ProgramError] = OrderedDict()
        self._kept_bytes = 0

    # ---- as the runner drives it ---------------------------------------------------------------

    def run_pure(self, program: Program, value: Any, limits: RunLimits) -> Completed | Failed:
        """Call the program's entry once on a plain value.

        A `SCRIPT`, which has no entry, is only loaded, and gives None: that is how a source is
        tried before it is published.
        """
        self._ready()
        began = time.thread_time_ns()
        inputs = orjson.dumps([value]) if program.entry != SCRIPT else b"[]"
        called = self._call_program(program, program.entry, inputs, limits)
        cpu_us = (time.thread_time_ns() - began) // 1000
        error = called.error
        if error is None:
            try:
                output = _parsed(called.answers[0], limits) if called.answers else None
            except ValueRefused as refused:
                error = ProgramError(type="ValueRefused", message=refused.describe("en"))
            else:
                if not isinstance(output, ProgramError):
                    return Completed(output=output, cpu_us=cpu_us, printed=called.printed)
                error = output
        return Failed(error=error, cpu_us=cpu_us, printed=called.printed)

    def evaluate(
        self, program: Program, spans: str, limits: RunLimits, *, explain: bool = False
    ) -> BatchText | Failed:
        """Call `on` for each span of a JSON array, in one machine.

        With `explain`, call it for the first span alone; an error of its own is then the failure.
        """
        self._ready()
        began = time.thread_time_ns()
        text = spans.encode()
        if explain:
            text = orjson.dumps(orjson.loads(text)[:1])
        called = self._call_program(program, POLICY, text, limits)
        error = called.error
        if (
            explain
            and error is None
            and called.answers
            and isinstance(called.answers[0], ProgramError)
        ):
            error = called.answers[0]
        cpu_us = (time.thread_time_ns() - began) // 1000
        if error is not None:
            return Failed(error=error, cpu_us=cpu_us, printed=called.printed)
        return BatchText(text=batch_text(called.answers), cpu_us=cpu_us, printed=called.printed)

    def _call_program(
        self, program: Program, entry: str, inputs: bytes, limits: RunLimits
    ) -> Called:
        compiled = self._compiled_once(program.source, entry)
        if isinstance(compiled, ProgramError):
            return Called(answers=(), error=compiled, fuel=0, printed="")
        return self.call(
            compiled, inputs, limits=limits, frozen_at=program.frozen_at, seed=program.seed
        )

    def _compiled_once(self, source: str, entry: str) -> Compiled | ProgramError:
        key = (entry, source)
        with self._lock:
            known = self._compiled.get(key)
            if known is not None:
                self._compiled.move_to_end(key)
                return known
        made = self.compile(source, entry=entry)
        with self._lock:
            if key not in self._compiled:
                self._compiled[key] = made
                self._kept_bytes += _cost(key, made)
            while self._kept_bytes > _IMAGES_BYTES_MAX and len(self._compiled) > 1:
                old, gone = self._compiled.popitem(last=False)
                self._kept_bytes -= _cost(old, gone)
        return made

    # ---- compiling and calling -----------------------------------------------------------------

    def compile(self, source: str, *, entry: str) -> Compiled | ProgramError:
        """Evaluate the source and keep the memory that it leaves, or tell why it cannot be.

        The source is a strict script or a module. Its function is, in this order: the module's
        default export, its export of the entry's name, a top-level `entry` of a script, or what it
        assigned to `globalThis.default`. A `SCRIPT` needs none. The entry `POLICY` has to return
        lists.
        """
        if len(source.encode(errors="surrogatepass")) > SOURCE_BYTES_MAX:
            return limited("size", "the source is too long")
        try:
            source.encode()
        except UnicodeEncodeError:
            return ProgramError(type="SyntaxError", message="the source has a lone surrogate")
        is_module = _MODULE_WORD.search(source) is not None
        first = self._load(source, entry, is_module=is_module)
        if isinstance(first, Compiled) or first.limit is not None:
            return first
        # A comment may look like an export, and a script's first word may be `await`.
        second = self._load(source, entry, is_module=not is_module)
        is_nearer = first.type == "SyntaxError" and (
            isinstance(second, Compiled) or second.type != "SyntaxError"
        )
        return second if isinstance(second, Compiled) or is_nearer else first

    def call(
        self,
        compiled: Compiled,
        inputs: bytes,
        *,
        limits: RunLimits = PURE,
        frozen_at: str | None,
        seed: str,
    ) -> Called:
        """Call the program on each input of a JSON array, in one fresh machine.

        An async program is waited for before the next input is given to it. A limit that trips is
        the failure of the whole call, except for one answer that is too long, or too deep a
        recursion, which fail alone. Without `frozen_at` a program that asks for the time fails.
        """
        machines, _ = self._ready()
        memory_bytes = min(limits.memory_bytes, self._memory_bytes_max)
        is_batch = compiled.entry == POLICY
        output_max = BATCH_LIMITS.bytes_max if is_batch else limits.value.bytes_max
        settings = {
            "answer_max": limits.value.bytes_max,
            "output_max": output_max + 1024,
            "printed_max": limits.printed_bytes_max,
            "seed": _words(seed),
        }
        lines: list[bytes] = []
        error: ProgramError | None = None
        printed = ""
        with Machine(
            machines, fuel=limits.fuel, image=compiled.image, memory_bytes=memory_bytes
        ) as machine:
            machine.freeze(_nanoseconds(frozen_at))
            try:
                head, *lines = _drive(machine, orjson.dumps(settings), inputs)
                printed, error = head_of(head, limits)
            except Stopped as stopped:
                error = limited(stopped.limit)
            except Thrown as thrown:
                error = _told_by(machine, thrown)
            if error is None and frozen_at is None and machine.clock_reads:
                error = ProgramError(type="Error", message=_NO_TIME)
            fuel = limits.fuel - machine.fuel
        answers = tuple(answer_of(line) for line in lines)
        if error is None:
            error = next((a for a in answers if is_fatal(a)), None)  # type: ignore[assignment]
        return Called(
            answers=() if error is not None else answers, error=error, fuel=fuel, printed=printed
        )

    def _load(self, source: str, entry: str, *, is_module: bool) -> Compiled | ProgramError:
        machines, base = self._ready()
        with Machine(machines, fuel=LOAD_FUEL, image=base) as machine:
            machine.freeze(0)
            try:
                found = _evaluate(machine, source, entry, is_module=is_module)
                if isinstance(found, ProgramError):
                    return found
                if machine.clock_reads:
                    return ProgramError(type="Error", message=_NO_TIME_YET)
                image = machine.image()
            except Stopped as stopped:
                return limited(stopped.limit)
            except Thrown as thrown:
                return _told_by(machine, thrown)
            if image.kept_bytes > IMAGE_BYTES_MAX:
                return limited("memory", "the source keeps too much while it loads")
            fuel = LOAD_FUEL - machine.fuel
            return Compiled(entry=entry, image=image, fuel=fuel)

    def _ready(self) -> tuple[Any, Image]:
        """Return the machines of this process and the image of one that holds no program."""
        with self._lock:
            if self._base is None:
                machines = load(
                    memory_bytes_max=self._memory_bytes_max, cache_folder=self._cache_folder
                )
                with Machine(machines, fuel=LOAD_FUEL) as machine:
                    machine.boot((FOLDER / "house.js").read_text(encoding="utf-8"))
                    self._base = machines, machine.image()
            return self._base


def _evaluate(machine: Machine, source: str, entry: str, *, is_module: bool) -> ProgramError | None:
    """Evaluate the source and have the house find the entry in it."""
    value = machine.evaluate(source, is_module=is_module)
    machine.run_jobs()
    arguments = [machine.new_text(entry.encode())]
    assert entry == SCRIPT or entry.isidentifier(), "the host checks names"
    if is_module:
        settled = machine.settled(value)
        if settled is None:
            return ProgramError(type="Error", message="the module never finishes loading")
        is_kept, result = settled
        if not is_kept:
            raise Thrown(result)
        arguments.append(result)
    if entry != SCRIPT and not machine.is_true(machine.house("adopt", *arguments)):
        shape = f"{entry}(span)" if entry == POLICY else f"{entry}(input)"
        return ProgramError(type="TypeError", message=f"the source has no function {shape}")
    return None


def _drive(machine: Machine, settings: bytes, inputs: bytes) -> list[bytes]:
    """Give the inputs to the program, wait for each promise, return the lines of the house."""
    machine.house("begin", machine.new_text(settings), machine.new_text(inputs))
    while not machine.is_undefined(answer := machine.house("step")):
        verb = "keep"
        if machine.is_promise(answer):
            machine.run_jobs()
            settled = machine.settled(answer)
            if settled is None:
                verb, answer = "fail", machine.new_text(b"the promise is never settled")
            else:
                verb, answer = "keep" if settled[0] else "fail", settled[1]
        machine.house(verb, answer)
    machine.run_jobs()
    return machine.text_of(machine.house("finish")).split(b"\n")[:-1]


def _told_by(machine: Machine, thrown: Thrown) -> ProgramError:
    """Have the house tell what was thrown at the host."""
    try:
        return error_of(machine.text_of(machine.house("tell", thrown.value))[1:])
    except (Stopped, Thrown) as cause:
        return limited(cause.limit if isinstance(cause, Stopped) else "memory")


def _parsed(answer: bytes | ProgramError, limits: RunLimits) -> Any:
    if isinstance(answer, ProgramError):
        return answer
    return canon(orjson.loads(answer), limits=limits.value, field="output")


def _words(seed: str) -> list[int]:
    """Make the four 32-bit words that the generator starts from."""
    digest = blake3(b"loglineos/javascript/seed/v1\n" + seed.encode()).digest(16)
    return [int.from_bytes(digest[at : at + 4], "little", signed=True) for at in range(0, 16, 4)]


def _nanoseconds(instant: str | None) -> int:
    if instant is None:
        return 0
    return (datetime.fromisoformat(instant) - _EPOCH) // timedelta(microseconds=1) * 1000


def _cost(key: tuple[str, str], made: Compiled | ProgramError) -> int:
    image = made.image.kept_bytes if isinstance(made, Compiled) else 0
    return len(key[1]) * 4 + image + 1024


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MODULE_WORD: Final = re.compile(r"^\s*(export|import)\b", re.MULTILINE)
_NO_TIME: Final = "there is no time here: the program was given no instant"
_NO_TIME_YET: Final = "there is no time while the source loads: read the clock in the function"
