"""`logline version` and `logline settings`: what this program is and how it is set."""

from __future__ import annotations

import os
from importlib.metadata import version as version_of
from typing import Any, Final

from loglineos.base.language import Text
from loglineos.faces.cli.session import Session
from loglineos.faces.cli.tables import facts
from loglineos.settings import SETTINGS, Setting


async def version(session: Session) -> None:
    """Show the version of the program."""
    found = version_of("loglineos")
    session.answer({"name": "loglineos", "version": found}, f"loglineos {found}")


async def settings(session: Session) -> None:
    """Show each setting with its value in force; of a secret, only whether it is given."""
    shown = {setting.variable: _value(session, setting) for setting in SETTINGS}
    people = [
        (name, session.text(_NONE) if value is None else value) for name, value in shown.items()
    ]
    session.answer(shown, facts(people))


def _value(session: Session, setting: Setting) -> Any:
    name = setting.key or setting.variable.removeprefix("LOGLINE_").lower()
    value = getattr(session.settings, name, None) or os.environ.get(setting.variable)
    if setting.is_secret:
        return session.text(_GIVEN) if value else None
    if isinstance(value, (bool, float, type(None))):
        return value
    return str(value)


_NONE: Final = Text("—", "—")
_GIVEN: Final = Text("(dado; não se mostra)", "(given; not shown)")
