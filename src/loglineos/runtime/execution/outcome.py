"""How one turn of an execution ended: what its worker appends for it, together with others' ends.

Whoever runs an execution appends by itself what must be durable on the way (steps, `running`,
`waiting`) and leaves the end to the worker, who writes many ends in one append.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from loglineos.ledger.record import Draft, Record


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one turn.

    `complete` and `error` are still to be appended: by the worker, after `head`, in one call with
    `drafts` (last steps that need not be durable before). `rested` waits, or was ended by its own
    append: nothing is left to write. `lost`: somebody else has it now; nothing may be written.

    `head` is the latest event of the execution that this turn knows; None: the one it was given.
    `error` is {code, type, message, where}. `is_final` says that another attempt would end the
    same. `columns` are further columns of the last record, e.g. `cost_micros`; `metadata` goes
    into it too.
    """

    kind: Literal["complete", "error", "rested", "lost"]
    head: Record | None = None
    drafts: tuple[Draft, ...] = ()
    output: Any = None
    output_hash: str | None = None
    error: dict[str, Any] | None = None
    is_final: bool = False
    columns: dict[str, Any] = {}
    metadata: dict[str, Any] | None = None
