"""Inside the runner: one program in one worker of the monty pool, driven turn by turn.

Always holds: a name that the program was not given is refused before its arguments are looked at;
a value crosses by `canon` alone; what fails says so in the program's own words or ours, never in
the host's; a session that has ended in any way is never fed again.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Any, Final

import pydantic_monty as engine

from loglineos.base.errors import ValueRefused
from loglineos.runtime.sandbox.frames import BatchText
from loglineos.runtime.sandbox.limits import GRACE_S, RunLimits
from loglineos.runtime.sandbox.lint.findings import Finding
from loglineos.runtime.sandbox.lint.trial import trial_compile
from loglineos.runtime.sandbox.python_outcomes import (
    CALLS_MESSAGE,
    CLOCKS,
    MESSAGES,
    SLEEPS,
    error_of,
    refusal,
    settled,
)
from loglineos.runtime.sandbox.python_source import (
    EVALUATE,
    EXPLAIN,
    INPUT,
    LOADER,
    SPANS,
    Prepared,
    prepare,
)
from loglineos.runtime.sandbox.python_world import engine_limits, modules, os_policy
from loglineos.runtime.sandbox.turns import (
    Answer,
    Completed,
    Failed,
    Later,
    Program,
    ProgramError,
    Settled,
    Suspended,
    Turn,
    Waiting,
)
from loglineos.runtime.sandbox.values import canon, revive

REQUEST_S_MAX: Final = 5.0
CHECKOUTS_MAX: Final = 500
_REFUSALS_MAX: Final = 10


class WorkerGone(Exception):
    """The worker's process ended, and not by a limit of ours."""


class SnapshotRefused(Exception):
    """The bytes are no dump that this engine can go on from."""


class OutOfTurn(Exception):
    """The host answered a call that does not stand."""


class PythonEngine:
    """The pool of workers of one runner; its sessions may be used from many threads."""

    def __init__(self, binary_path: str, *, workers_max: int) -> None:
        """Open the pool; the first worker starts here."""
        self._pool = engine.Monty(
            binary_path=binary_path,
            min_processes=1,
            max_processes=workers_max,
            checkout_timeout=REQUEST_S_MAX,
            request_timeout=REQUEST_S_MAX,
            max_checkouts_per_worker=CHECKOUTS_MAX,
            feed_duration_limit_grace=GRACE_S,
            turn_duration_limit_grace=GRACE_S,
        )
        self._pool.__enter__()

    def close(self) -> None:
        """End the workers; a runner never does, its workers end with it."""
        self._pool.__exit__(None, None, None)

    def session(self, program: Program, limits: RunLimits) -> PythonSession:
        """Take a worker for one program."""
        return PythonSession(self._pool, program, limits)

    def run_pure(self, program: Program, value: Any, limits: RunLimits) -> Completed | Failed:
        """Run to the end; the first effect fails the run."""
        session = self.session(program, limits)
        try:
            return _without_effects(session.start(value))
        finally:
            session.close()

    def trial(self, source: str, stubs: dict[str, str]) -> tuple[Finding, ...]:
        """Compile a program and check its types; nothing of it runs."""
        return tuple(trial_compile(self._pool, source, stubs=stubs))

    def evaluate(
        self, program: Program, spans: str, limits: RunLimits, *, explain: bool = False
    ) -> BatchText | Failed:
        """Call `on` for each span of a JSON text; the answer is JSON text of the sandbox.

        With `explain`, call it for the first span alone and let it fail: the failure tells where.
        """
        session = self.session(program, limits)
        try:
            return session.evaluate(spans, tail=EXPLAIN if explain else EVALUATE)
        finally:
            session.close()


class PythonSession:
    """One program, from its start or a dump to its end."""

    def __init__(self, pool: engine.Monty, program: Program, limits: RunLimits) -> None:
        self._program = program
        self._limits = limits
        self._capabilities = frozenset(program.modules)
        self._printed = engine.CollectString(max_bytes=limits.printed_bytes_max)
        self._told = 0
        self._calls = 0
        self._refusals = 0
        self._snapshot: Any = None
        self._prepared: Prepared | None = None
        self._session: engine.MontySession | None = pool.checkout(
            limits=engine_limits(limits),
            os_policy=os_policy(program),
            external_modules=modules(program.modules),
        )
        try:
            self._session.__enter__()
        except (TimeoutError, engine.MontyError) as cause:
            self._session = None
            raise WorkerGone from cause
        self._clock = _cpu_clock(self._session.worker_pid)
        self._began_ns = time.monotonic_ns()
        self._cpu_ns = self._read_cpu()

    def start(self, value: Any) -> Turn:
        """Run on a plain value up to the first turn."""
        return self._feed({INPUT: revive(value)})

    def evaluate(self, spans: str, *, tail: str = EVALUATE) -> BatchText | Failed:
        """Call `on` for each span; an effect fails the batch."""
        turn = _without_effects(self._feed({SPANS: spans}, tail=tail))
        if isinstance(turn, Failed):
            return turn
        return BatchText(text=str(turn.output), cpu_us=turn.cpu_us, printed=turn.printed)

    def resume(self, answer: Answer) -> Turn:
        """Answer the call that stands."""
        standing = self._snapshot
        if not isinstance(standing, engine.FunctionSnapshot):
            raise OutOfTurn
        if isinstance(answer, Later):
            return self._go(lambda: standing.resume({"future": ...}))
        name = str(standing.function_name)
        clock = name if standing.is_os_function else None
        answered = settled(answer, clock=clock, arguments=standing.args)
        return self._go(lambda: standing.resume(answered))

    def settle(self, call_id: int, answer: Settled) -> Turn:
        """Settle one call that all coroutines wait for."""
        standing = self._snapshot
        if not isinstance(standing, engine.FutureSnapshot):
            raise OutOfTurn
        if call_id not in standing.pending_call_ids:
            raise OutOfTurn
        return self._go(lambda: standing.resume({call_id: settled(answer)}))

    def dump(self) -> bytes:
        """Return the run as it stands; not after a refused value, which no dump would count."""
        if self._snapshot is None or self._refusals:
            raise OutOfTurn
        try:
            return bytes(self._snapshot.dump())
        except engine.MontyError as cause:
            raise WorkerGone from cause

    def load(self, blob: bytes) -> Turn:
        """Go on from a dump; gives the turn at which it was taken.

        Raises:
            SnapshotRefused: not a dump, of a newer engine, or of a session that did not stand.
        """
        self._prepared = prepare(self._program)
        session = self._session
        assert session is not None
        try:
            standing = session.load_snapshot(blob, print_callback=self._printed)
        except (engine.MontyError, RuntimeError, ValueError, TypeError) as cause:
            self.close()
            raise SnapshotRefused from cause
        return self._go(lambda: standing)

    def close(self) -> None:
        """Give the worker back; a repeat does nothing."""
        session, self._session, self._snapshot = self._session, None, None
        if session is not None:
            with suppress(engine.MontyError, RuntimeError):
                session.__exit__(None, None, None)

    def _feed(self, inputs: dict[str, Any], *, tail: str | None = None) -> Turn:
        began_ns = time.thread_time_ns()
        prepared = self._prepared = prepare(self._program, tail=tail)
        self._cpu_ns -= time.thread_time_ns() - began_ns  # reading the source counts as running
        session = self._session
        assert session is not None

        def begin() -> Any:
            if prepared.prelude:
                sources = [list(pair) for pair in prepared.prelude]
                session.feed_run(
                    LOADER, inputs={"__sources__": sources}, print_callback=self._printed
                )
            return session.feed_start(prepared.text, inputs=inputs, print_callback=self._printed)

        return self._go(begin)

    def _go(self, step: Any) -> Turn:
        """Take a step, answer what needs no host, and tell the turn at which the program stands."""
        self._snapshot = None
        self._began_ns = time.monotonic_ns()
        try:
            while True:
                standing = step()
                if isinstance(standing, engine.MontyComplete):
                    return self._completed(standing)
                turn, step = self._meet(standing)
                if turn is not None:
                    self._snapshot = standing if self._session is not None else None
                    return turn
        except engine.MontyCrashedError as crash:
            return self._crashed(crash)
        except engine.MontyError as error:
            return self._failed(error_of(error, self._prepared, self._limits))
        except ValueRefused as refused:
            return self._failed(refusal(refused))

    def _meet(self, standing: Any) -> tuple[Turn | None, Any]:
        """Tell the turn of a suspension, or the step that answers it here."""
        if isinstance(standing, engine.FunctionSnapshot):
            return self._called(standing)
        if isinstance(standing, engine.NameLookupSnapshot):
            return None, standing.resume
        pending = tuple(sorted(standing.pending_call_ids))
        return Waiting(pending=pending, cpu_us=self._cpu(), printed=self._print()), None

    def _called(self, call: Any) -> tuple[Turn | None, Any]:
        # H4: the name decides before an argument is looked at.
        name = str(call.function_name)
        if call.is_os_function:
            if name == "import":
                return None, call.resume_auto
            if self._program.frozen_at is not None and name in SLEEPS:
                return None, lambda: call.resume(_SLEEP_REFUSED)
            if name not in CLOCKS and name not in SLEEPS:
                return None, call.resume_not_handled
        elif name not in self._capabilities:
            missing = {"exc_type": "NameError", "message": f"name '{name}' is not defined"}
            return None, lambda: call.resume(missing)
        self._calls += 1
        if self._calls > self._limits.suspensions_max:
            error = ProgramError(type="RuntimeError", message=CALLS_MESSAGE, limit="calls")
            return self._failed(error), None
        try:
            arguments = [] if name in CLOCKS else canon(call.args, field=name)
            named = {} if call.is_os_function else canon(call.kwargs, field=name)
        except ValueRefused as refused:
            # To refuse costs time that is not the program's: it may try a few times, not for ever.
            self._refusals += 1
            if self._refusals > _REFUSALS_MAX:
                return self._failed(refusal(refused, limit="size")), None
            answer = {"exc_type": "ValueError", "message": refused.describe("en")}
            return None, lambda: call.resume(answer)
        turn = Suspended(
            kind="os" if call.is_os_function else "call",
            name=name,
            args=arguments,
            kwargs=named,
            call_id=call.call_id,
            awaited=self._is_awaited(call),
            cpu_us=self._cpu(),
            printed=self._print(),
        )
        return turn, None

    def _is_awaited(self, call: Any) -> bool:
        if call.allow_eager_await:
            return True
        place, prepared = call.position, self._prepared
        if prepared is None or not prepared.awaited or place.filename == "<string>":
            return False
        return (place.start, place.end) in prepared.awaited

    def _completed(self, complete: engine.MontyComplete) -> Turn:
        output = canon(complete.output, limits=self._limits.value, field="output")
        turn = Completed(output=output, cpu_us=self._cpu(), printed=self._print())
        self.close()
        return turn

    def _failed(self, error: ProgramError) -> Turn:
        turn = Failed(error=error, cpu_us=self._cpu(), printed=self._print())
        self.close()
        return turn

    def _crashed(self, crash: engine.MontyCrashedError) -> Turn:
        if not crash.timed_out:
            self.close()
            raise WorkerGone from crash
        error = ProgramError(type="TimeoutError", message=MESSAGES["time"], limit="time")
        return self._failed(error)

    def _cpu(self) -> int:
        """Return the worker's CPU time since the last turn, in microseconds."""
        before, self._cpu_ns = self._cpu_ns, self._read_cpu()
        return max(0, self._cpu_ns - before) // 1000

    def _read_cpu(self) -> int:
        if self._clock is None:
            return time.monotonic_ns()
        try:
            return time.clock_gettime_ns(self._clock)
        except OSError:
            # A dead process has no clock: count all the time of its last turn.
            return self._cpu_ns + time.monotonic_ns() - self._began_ns

    def _print(self) -> str:
        text = self._printed.output
        new, self._told = text[self._told :], len(text)
        return new


def _without_effects(turn: Turn) -> Completed | Failed:
    if isinstance(turn, (Completed, Failed)):
        return turn
    name = turn.name if isinstance(turn, Suspended) else "asyncio"
    error = ProgramError(type="PermissionError", message=f"{name} is an effect")
    return Failed(error=error, cpu_us=turn.cpu_us, printed=turn.printed)


def _cpu_clock(process: int | None) -> int | None:
    """Return the kernel's clock of another process's CPU time; None where there is no such."""
    if process is None or not sys.platform.startswith("linux"):
        return None
    return (~process << 3) | 2  # clock_getcpuclockid(3), CPUCLOCK_SCHED


_SLEEP_REFUSED: Final = {"exc_type": "PermissionError", "message": "sleep is an effect"}
