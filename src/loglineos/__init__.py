"""LogLineOS: an accountable runtime; every act is one signed, append-only, provable record.

    from loglineos import Ledger

Nothing is imported until a name is asked for (PEP 562), so `import loglineos` costs nothing.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from loglineos.faces.log_handler import LedgerHandler
    from loglineos.faces.python import Ledger
    from loglineos.ledger.record import Draft, Record

    __version__: str

__all__ = ["Draft", "Ledger", "LedgerHandler", "Record", "__version__"]

_HOMES: Final = {
    "Draft": "loglineos.ledger.record",
    "Ledger": "loglineos.faces.python",
    "LedgerHandler": "loglineos.faces.log_handler",
    "Record": "loglineos.ledger.record",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name == "__version__":
        return metadata.version("loglineos")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
