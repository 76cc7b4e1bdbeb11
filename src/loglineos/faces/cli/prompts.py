"""Asking a person: yes or no, a line, a secret. Questions go to stderr; nobody there means no."""

from __future__ import annotations

import asyncio
import getpass
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from loglineos.base.errors import Refused
from loglineos.base.language import Text
from loglineos.faces.cli.render import styled

if TYPE_CHECKING:
    from loglineos.faces.cli.session import Session


def ask_yes(session: Session, question: Text, *, default: bool = False) -> bool:
    """Ask for yes or no; an empty answer is `default`, and so is no person to ask."""
    if not session.is_interactive:
        return default
    hint = _YES_HINT if default else _NO_HINT
    given = _read(session, f"{session.text(question)} {session.text(hint)} ").lower()
    return default if not given else given in ("s", "sim", "y", "yes")


async def ask_yes_meanwhile(session: Session, question: Text, *, default: bool) -> bool:
    """Ask as `ask_yes` while the loop goes on; a cancelled question is left unanswered."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[bool] = loop.create_future()

    def settle(answer: bool) -> None:
        if not answered.done():
            answered.set_result(answer)

    def ask() -> None:
        answer = ask_yes(session, question, default=default)
        with suppress(RuntimeError):  # the loop has ended: nobody waits for the answer
            loop.call_soon_threadsafe(settle, answer)

    # A daemon: a process that is told to stop must not wait for somebody to press a key.
    threading.Thread(target=ask, name="asking", daemon=True).start()
    return await answered


def ask_line(session: Session, question: str) -> str:
    """Ask for one line; empty when the person gives none."""
    return _read(session, f"{question}: ")


def ask_secret(session: Session, question: Text) -> str:
    """Ask for a secret without showing it."""
    return getpass.getpass(f"{session.text(question)}: ", stream=sys.stderr)


def require_yes(session: Session, consequence: Text, *, yes: bool, **fields: object) -> None:
    """Tell the consequence of a heavy act, and go on only when the person wants it.

    Raises:
        Refused: not confirmed; nothing was done.
    """
    told = Text(consequence.fill("pt", **fields), consequence.fill("en", **fields))
    if yes:
        session.note(told)
        return
    session.err.print(styled((session.text(_HEAVY), "bold yellow"), (session.text(told), "")))
    if not ask_yes(session, _GO_ON):
        raise Refused(reason=_NOT_CONFIRMED, remedy=_SAY_YES)


def _read(session: Session, prompt: str) -> str:
    session.err.print(styled((prompt, "bold")), end="")
    sys.stderr.flush()
    return sys.stdin.readline().strip()


_YES_HINT: Final = Text("[S/n]", "[Y/n]")
_NO_HINT: Final = Text("[s/N]", "[y/N]")
_HEAVY: Final = Text("Isto pesa: ", "This is heavy: ")
_GO_ON: Final = Text("Continuar?", "Go on?")
_NOT_CONFIRMED: Final = Text("não foi confirmado; nada mudou", "not confirmed; nothing changed")
_SAY_YES: Final = Text("confirme com --yes", "confirm with --yes")
