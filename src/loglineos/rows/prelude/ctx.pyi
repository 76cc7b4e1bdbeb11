"""What a function may ask of its house: each call is one step of its journal.

`import ctx` in a function of runtime "durable". A call needs the effect that stands in brackets,
declared by the function and granted by the house. A call that is refused raises PermissionError;
one that fails raises RuntimeError, ValueError, TimeoutError or KeyError. Values are JSON, besides
bytes, UTC instants and Decimals.
"""

from typing import Any, Literal, NoReturn

Json = Any
"""None, bool, int, float, str, list, or dict with text keys."""

Record = dict[str, Any]
"""One event as the ledger has it: id, seq, who, did, this, status, at and the other columns."""

class _Ledger:
    def get(self, id: str, seq: int | None = None) -> Record | None:
        """Read an entity's latest event, or event `seq`; None when there is none to see. [ledger.read]"""

    def find(self, *, limit: int = 50, **filters: Any) -> list[Record]:
        """Find the newest events that fit: who, did, this, status, type, entity_type, tags, text,
        since, until, latest, ghosts; at most 200, the newest first. [ledger.read]"""

    def history(self, id: str, limit: int = 100) -> list[Record]:
        """Read the life of an entity, its first event first. [ledger.read]"""

class _Secret:
    def use(self, name: str) -> dict[str, str]:
        """Give a handle on a secret, for `ctx.http(secret=...)`; never the secret. [secret:NAME]"""

ledger: _Ledger
secret: _Secret

def emit(span: Record) -> dict[str, Any]:
    """Append a record, a new one or the next event of a known `id`; gives its id and seq. [emit]"""

def enqueue(
    function: str,
    input: Json = None,
    queue: str | None = None,
    delay_s: float = 0,
    run_at: str | None = None,
    priority: int = 0,
    key: str | None = None,
) -> dict[str, str]:
    """Ask for another run, now or later, and do not wait; gives its id. The same `key` again gives
    the same run; the lowest priority runs first. [enqueue]"""

def run(function: str, input: Json = None, wait: bool = True) -> Json:
    """Run another function and give its output; RuntimeError when it fails. With `wait=False` it
    gives its id at once. [run]"""

def http(
    method: str,
    url: str,
    headers: dict[str, Any] | None = None,
    json: Json = None,
    body: str | bytes | None = None,
    timeout_s: float = 10,
    secret: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Ask another server once; gives status, headers and body. The call carries its own
    Idempotency-Key, the same when it is repeated after a crash. A handle of `ctx.secret.use` may
    be the `secret`, or a header's value. [http:HOST, and the secret's]"""

def confirm(
    question: str,
    who: str | None = None,
    timeout_s: float | None = None,
    if_timeout: Literal["yes", "no", "doubt"] = "no",
) -> dict[str, Any]:
    """Ask a person, and rest until they answer, for days if need be; gives answer ("yes", "no" or
    "doubt"), who and record. [confirm]"""

def wait_for(pattern: dict[str, Any], timeout_s: float | None = None) -> Record | None:
    """Rest until a record that fits is appended, and give it; None after `timeout_s`. A pattern has
    some of who, did, this, status, type, entity_type, tags, id. [wait]"""

def sleep(seconds: float) -> None:
    """Rest for so many seconds, at most a year; nothing is held meanwhile."""

def until(when: str) -> None:
    """Rest until an instant, RFC 3339 with a zone."""

def now() -> str:
    """Give the time of this step, RFC 3339 in UTC."""

def uuid() -> str:
    """Give a new id; the same one when the run is replayed."""

def log(text: str, **fields: Any) -> None:
    """Keep a line for whoever reads this run."""

def fail(code: str, message: str | None = None, **data: Any) -> NoReturn:
    """End the run as failed, with a code of the house's own and data to act on."""

def compensate(function: str, input: Json = None) -> None:
    """Say what undoes the step before: should the run fail, the last noted runs first. [run]"""

def continue_as_new(input: Json = None) -> NoReturn:
    """End this run and begin another of the same function, with a journal of its own. [run]"""
