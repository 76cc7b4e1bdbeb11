"""One QuickJS machine in WebAssembly: made, restored from an image, called, thrown away.

`Machines` holds what all machines share: the compiled modules and the limits. `Machine` is one of
them, for one thread. Nothing of the host can be reached from inside: every import is answered by
another WebAssembly module (quickjs/world.wat), so all that a program does costs it fuel.

Always holds: the same image and the same calls give the same memory and the same fuel, in every
process; a machine that trapped is never called again.

Source: quickjs-wasi 3.6.2 (quickjs/README.md); the WebAssembly C API of wasmtime 50.
"""

from __future__ import annotations

import ctypes
import resource
from typing import Any, Final, Self, cast

from wasmtime import (
    Config,
    Engine,
    Func,
    Global,
    Instance,
    Memory,
    Module,
    Store,
    Trap,
    TrapCode,
    WasmtimeError,
)
from wasmtime import _ffi as ffi
from wasmtime._extern import wrap_extern

from loglineos.runtime.sandbox.quickjs_image import Image, differing

PAGE: Final = 65_536
SOURCE_NAME: Final = "program.js"
JOBS_MAX: Final = 10_000
"""Most jobs that promises may leave to one machine: one run, one batch, one loading source."""
_STACK_BYTES: Final = 256 * 1024
"""JavaScript's own stack; QuickJS raises a RangeError at its end."""
_NATIVE_STACK_BYTES: Final = 1536 * 1024
"""WebAssembly's stack on the thread that runs it; the thread must have more than that."""
_BIRTH_FUEL: Final = 1_000_000
_RESERVED_BYTES: Final = 4 * 1024 * 1024
"""QuickJS may take this much less than the machine has, so that it fails before the machine."""
_SCRIPT, _MODULE, _STRICT = 0, 1, 8  # flags of JS_Eval
_PROMISE_PENDING, _PROMISE_KEPT = 0, 1
_HOUSE: Final = ("adopt", "begin", "step", "keep", "fail", "tell", "finish")


class Stopped(Exception):
    """The machine trapped and is dead. `limit` says which limit it met."""

    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.limit = limit


class Thrown(Exception):
    """JavaScript threw at the host; `value` is the handle of what it threw."""

    def __init__(self, value: int) -> None:
        super().__init__("thrown")
        self.value = value


class Machines:
    """The modules and limits that all machines of this process share; may be used by threads."""

    def __init__(
        self, engine: Engine, quickjs: Module, *, world: str, hands: str, memory_bytes_max: int
    ) -> None:
        """Compile the world; `quickjs` was compiled by `engine`, which `new_engine` made."""
        self.engine = engine
        self.quickjs = quickjs
        self.world = Module(engine, world)
        self.hands = Module(engine, hands)
        self.memory_bytes_max = memory_bytes_max
        self.imports = tuple(item.name or "" for item in quickjs.imports)
        self.blank = b""  # the memory of a machine that nobody has touched
        self.blank = Machine(self, fuel=0).memory_bytes()


def has_room() -> bool:
    """Tell if a machine may reserve all addresses that it could ever use (nothing of it is used).

    Its memory then needs no check at each access, which saves a seventh of the time.
    """
    return resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY


def new_engine(memory_bytes_max: int) -> Engine:
    """Configure wasmtime so that a run is bounded and repeatable, with or without `has_room`."""
    config = Config()
    config.consume_fuel = True
    config.cranelift_nan_canonicalization = True
    config.wasm_relaxed_simd = False
    config.wasm_threads = False
    config.wasm_memory64 = False
    config.wasm_multi_memory = False
    config.max_wasm_stack = _NATIVE_STACK_BYTES
    config.memory_may_move = False
    if not has_room():
        config.memory_reservation = memory_bytes_max
        config.memory_reservation_for_growth = 0
        config.memory_guard_size = PAGE
    return Engine(config)


class Machine:
    """One machine; use it as a context, it takes 2 to 64 MiB."""

    def __init__(
        self,
        machines: Machines,
        *,
        fuel: int,
        image: Image | None = None,
        memory_bytes: int | None = None,
    ) -> None:
        """Instantiate; restore `image`, or leave the memory blank (then call `boot`).

        `memory_bytes` is the limit of this machine, at most that of all.
        """
        self._machines = machines
        self._functions: dict[str, tuple[Any, int, int]] = {}
        self._store = store = Store(machines.engine)
        self._context = store._context()  # noqa: SLF001 - as `call` needs it
        self._memory_bytes = memory_bytes or machines.memory_bytes_max
        store.set_limits(memory_size=self._memory_bytes, instances=3, memories=1, tables=2)
        store.set_fuel(_BIRTH_FUEL)
        world = Instance(store, machines.world, []).exports(store)
        self._world = world
        self._instance = Instance(store, machines.quickjs, [world[n] for n in machines.imports])
        self._memory = cast("Memory", self._export("memory"))
        Instance(store, machines.hands, [self._memory, world["hands"]])
        self._house: tuple[int, ...] = ()
        self._jobs = 0
        if image is not None:
            self._restore(image)
        store.set_fuel(fuel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    # ---- its life ------------------------------------------------------------------------------

    def boot(self, house: str) -> None:
        """Start JavaScript in blank memory and run the house's own code in it."""
        self.call("_initialize")
        self.call("qjs_init")
        self._limit_memory()
        self.call("qjs_set_max_stack_size", _STACK_BYTES)
        functions = self.evaluate(house, is_module=False, name="house.js")
        self._house = tuple(self._property(functions, name) for name in _HOUSE)
        self.call("qjs_free_value", functions)

    def image(self) -> Image:
        """Take the memory as it is between two calls."""
        self.call("qjs_run_gc")
        memory = self.memory_bytes()
        return Image(
            parts=tuple(differing(self._machines.blank, memory)),
            length=len(memory),
            stack=cast("Global", self._export("__stack_pointer")).value(self._store),
            runtime=self.call("qjs_get_runtime_ptr"),
            context=self.call("qjs_get_context_ptr"),
            house=self._house,
        )

    def _restore(self, image: Image) -> None:
        if image.length > self._memory_bytes:
            raise Stopped("memory")
        missing = image.length - self._memory.data_len(self._store)
        if missing > 0:
            self._memory.grow(self._store, missing // PAGE)
        base = self._address()
        for offset, part in image.parts:
            ctypes.memmove(base + offset, part, len(part))
        cast("Global", self._export("__stack_pointer")).set_value(self._store, image.stack)
        self.call("qjs_set_runtime_and_context", image.runtime, image.context)
        self._limit_memory()
        self._house = image.house

    def _limit_memory(self) -> None:
        self.call("qjs_set_memory_limit", self._memory_bytes - _RESERVED_BYTES)

    # ---- time and fuel -------------------------------------------------------------------------

    def freeze(self, nanoseconds: int) -> None:
        """Let it be this instant from now on."""
        cast("Global", self._world["now"]).set_value(self._store, nanoseconds)
        cast("Global", self._world["reads"]).set_value(self._store, 0)

    @property
    def clock_reads(self) -> int:
        """How often the time was asked for since `freeze`."""
        return int(cast("Global", self._world["reads"]).value(self._store))

    @property
    def fuel(self) -> int:
        """What is left."""
        return self._store.get_fuel()

    # ---- JavaScript ----------------------------------------------------------------------------

    def evaluate(self, source: str, *, is_module: bool, name: str = SOURCE_NAME) -> int:
        """Evaluate strict source; return the handle of its value (a module: of its promise)."""
        code, file = source.encode() + b"\0", name.encode() + b"\0"
        at = self._put(code + file)
        flags = _MODULE if is_module else _SCRIPT | _STRICT
        value = self.call("qjs_eval", at, len(code) - 1, at + len(code), flags)
        self.call("wasm_free", at)
        return self._checked(value)

    def house(self, function: str, *arguments: int) -> int:
        """Call one of the house's functions; return the handle of its answer."""
        at = self._put(b"".join(one.to_bytes(4, "little") for one in arguments) or b"\0")
        which = self._house[_HOUSE.index(function)]
        value: int = self.call("qjs_call", which, self.undefined(), len(arguments), at)
        self.call("wasm_free", at)
        return self._checked(value)

    def undefined(self) -> int:
        """Return a handle of `undefined`."""
        return int(self.call("qjs_get_undefined"))

    def new_text(self, text: bytes) -> int:
        """Put a UTF-8 text into the machine; return its handle."""
        at = self._put(text)
        value = self.call("qjs_new_string", at, len(text))
        self.call("wasm_free", at)
        return self._checked(value)

    def text_of(self, handle: int) -> bytes:
        """Read a text out of the machine; a lone surrogate comes as three bytes of its own."""
        length_at = self.call("wasm_malloc", 4)
        at = self.call("qjs_get_string_len", handle, length_at)
        length = int.from_bytes(self._read(length_at, 4), "little")
        text = self._read(at, length) if at else b""
        self.call("qjs_free_cstring", at)
        self.call("wasm_free", length_at)
        return text

    def is_undefined(self, handle: int) -> bool:
        """Tell if the value is `undefined`."""
        return bool(self.call("qjs_is_undefined", handle))

    def is_true(self, handle: int) -> bool:
        """Tell if the value is `true`."""
        return bool(self.call("qjs_get_bool", handle))

    def is_promise(self, handle: int) -> bool:
        """Tell if the value is a promise, whatever it says of itself."""
        return bool(self.call("qjs_is_promise", handle))

    def run_jobs(self) -> None:
        """Run what promises left to do, and what that leaves, until nothing is left.

        Raises:
            Stopped: `calls`: more than `JOBS_MAX` jobs in the life of this machine.
        """
        while self.call("qjs_is_job_pending"):
            self._jobs += 1
            if self._jobs > JOBS_MAX:
                raise Stopped("calls")
            if self.call("qjs_execute_pending_job") < 0:
                raise Thrown(self.call("qjs_get_exception"))

    def settled(self, promise: int) -> tuple[bool, int] | None:
        """Tell if the promise was kept, and with what; None while it is pending."""
        state = self.call("qjs_promise_state", promise)
        if state == _PROMISE_PENDING:
            return None
        return state == _PROMISE_KEPT, self.call("qjs_promise_result", promise)

    # ---- WebAssembly ---------------------------------------------------------------------------

    def call(self, name: str, *arguments: int) -> Any:
        """Call an export with 32-bit integers.

        Raises:
            Stopped: it trapped: no fuel, no stack, or a fault inside the machine.
        """
        function = self._functions.get(name)
        if function is None:
            function = self._functions[name] = self._function(name)
        pointer, count, has_result = function
        given, result = (ffi.wasmtime_val_t * count)(), ffi.wasmtime_val_t()
        assert count == len(arguments), name
        for place, argument in zip(given, arguments, strict=True):
            place.kind, place.of.i32 = ffi.WASMTIME_I32, argument
        trap = ctypes.POINTER(ffi.wasm_trap_t)()
        error = ffi.wasmtime_func_call(
            self._context, pointer, given, count, ctypes.byref(result), has_result,
            ctypes.byref(trap),
        )  # fmt: skip
        if _is_set(error):
            raise WasmtimeError._from_ptr(error)  # noqa: SLF001
        if _is_set(trap):
            code = Trap._from_ptr(trap).trap_code  # noqa: SLF001
            raise Stopped(_LIMITS.get(code, "memory") if code else "memory")
        return result.of.i32 if has_result else None

    def _function(self, name: str) -> tuple[Any, int, int]:
        """Return what a call of this export needs; wasmtime-py asks for the types at each call."""
        found = cast("Func", self._export(name))
        kind = found.type(self._store)
        return ctypes.pointer(found._func), len(kind.params), len(kind.results)  # noqa: SLF001

    def memory_bytes(self) -> bytes:
        """Copy the whole memory."""
        return ctypes.string_at(self._address(), self._memory.data_len(self._store))

    def _checked(self, value: int) -> int:
        if value == 0:
            raise Stopped("memory")
        if self.call("qjs_is_exception", value):
            raise Thrown(self.call("qjs_get_exception"))
        return value

    def _property(self, handle: int, name: str) -> int:
        at = self._put(name.encode() + b"\0")
        value = self.call("qjs_get_prop_string", handle, at)
        self.call("wasm_free", at)
        return self._checked(value)

    def _put(self, content: bytes) -> int:
        at: int = self.call("wasm_malloc", len(content))
        if at == 0 or at + len(content) > self._memory.data_len(self._store):
            raise Stopped("memory")
        ctypes.memmove(self._address() + at, content, len(content))
        return at

    def _read(self, at: int, length: int) -> bytes:
        if at < 0 or at + length > self._memory.data_len(self._store):
            raise Stopped("memory")
        return ctypes.string_at(self._address() + at, length)

    def _address(self) -> int:
        return ctypes.addressof(self._memory.data_ptr(self._store).contents)

    def _export(self, name: str) -> Any:
        """Look up one export; wasmtime-py's own mapping makes all 450 of them, for 6 ms."""
        item = ffi.wasmtime_extern_t()
        encoded = name.encode()
        is_there = ffi.wasmtime_instance_export_get(
            self._context,
            ctypes.byref(self._instance._instance),  # noqa: SLF001
            ctypes.create_string_buffer(encoded, len(encoded)),
            len(encoded),
            ctypes.byref(item),
        )
        assert is_there, name
        return wrap_extern(item)


def _is_set(pointer: Any) -> bool:
    """Tell if C gave something: a pointer to nothing is false."""
    return bool(pointer)


_LIMITS: Final = {TrapCode.OUT_OF_FUEL: "time", TrapCode.STACK_OVERFLOW: "depth"}
