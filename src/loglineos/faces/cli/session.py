"""What a command gets: the options and settings, ways to answer, and the node when it asks for it.

Always holds: with `--json` a command writes exactly one document on stdout, or, if it streams, one
document a line; notes, questions and progress go to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.console import Console, RenderableType

from loglineos.base.errors import NotFound, UnknownTenant
from loglineos.base.language import Language, Text
from loglineos.faces.cli.options import Options
from loglineos.faces.cli.render import console, styled
from loglineos.settings import Settings, read_settings

if TYPE_CHECKING:
    from loglineos.node import Node

Human = RenderableType | Callable[[], RenderableType | None] | None


class Session:
    """One run of one command."""

    def __init__(self, options: Options, *, only_looks: bool = False) -> None:
        """Keep the options; the settings are read when they are first needed.

        `only_looks`: the command makes nothing, so neither does it make a node where none is.
        """
        self.options = options
        self.only_looks = only_looks

    @cached_property
    def settings(self) -> Settings:
        """The settings, with what the options chose.

        Raises:
            Misconfigured: a value is wrong.
        """
        chosen = self.options
        return read_settings(
            home=chosen.home, tenant=chosen.tenant, actor=chosen.actor, language=chosen.lang
        )

    @property
    def language(self) -> Language:
        """The language of the answers."""
        return self.options.lang or self.settings.language

    @property
    def tenant(self) -> str:
        """The tenant that is meant."""
        return self.settings.tenant

    @property
    def actor(self) -> str:
        """In whose name the command acts."""
        return self.settings.actor

    @property
    def as_json(self) -> bool:
        """Tell whether a program reads the answer."""
        return self.options.json

    @cached_property
    def out(self) -> Console:
        """The console of the answer."""
        return console(sys.stdout)

    @cached_property
    def err(self) -> Console:
        """The console of everything else."""
        return console(sys.stderr)

    @property
    def width(self) -> int:
        """How many columns the answer may take."""
        return self.out.width

    @property
    def is_interactive(self) -> bool:
        """Tell whether a person sits there who can be asked."""
        return not self.as_json and sys.stdin.isatty() and sys.stderr.isatty()

    def text(self, text: Text, /, **fields: object) -> str:
        """Return a text in the reader's language, filled."""
        return text.fill(self.language, **fields)

    def note(self, text: Text, /, **fields: object) -> None:
        """Say something beside the answer, on stderr; `--quiet` and `--json` silence it."""
        if not self.options.quiet and not self.as_json:
            self.err.print(styled((self.text(text, **fields), "dim")), soft_wrap=True)

    def warn(self, text: Text, /, **fields: object) -> None:
        """Say on stderr what must not be overlooked, whatever the options."""
        self.err.print(styled((self.text(text, **fields), "yellow")))

    def answer(self, document: Any, human: Human = None) -> None:
        """Give the answer: the document with `--json`, else what `human` is or makes."""
        if self.as_json:
            self.emit(document)
            return
        shown = human() if callable(human) else human
        if shown is not None:
            self.out.print(shown, soft_wrap=True)  # what is to be copied is never broken

    def emit(self, document: Any) -> None:
        """Write one JSON document and a line end on stdout, at once."""
        sys.stdout.write(encode(document) + "\n")
        sys.stdout.flush()

    def node(self, *, announces: bool = False) -> AbstractAsyncContextManager[Node]:
        """Open the node of the settings for the time of a command.

        Progress is a spinner on a terminal; elsewhere it is lines, only if `announces`.

        Raises:
            NotFound: the command only looks, and there is no node in the data folder.
            UnknownTenant: it only looks, and the tenant that it names is not there.
            Misconfigured, DatabaseUnavailable: see `open_node`.
        """
        return _open(self, announces=announces)


@asynccontextmanager
async def _open(session: Session, *, announces: bool) -> AsyncIterator[Node]:
    # A third of a second; help needs none of it.
    from loglineos.node import is_initialised, open_node  # noqa: PLC0415

    if session.only_looks and not is_initialised(session.settings):
        home = str(session.settings.home)
        raise NotFound(what=_NODE_IN, which=home, remedy=_NO_NODE)
    settings = unlocked(session)
    quiet = session.options.quiet or session.as_json
    if session.err.is_terminal and not quiet:
        status = session.err.status(session.text(_OPENING))

        def tell(text: Text) -> None:
            status.update(session.text(text))

        status.start()
        try:
            async with open_node(settings, on_progress=tell) as node:
                status.stop()
                await _demand_tenant(session, node)
                yield node
        finally:
            status.stop()
        return

    def write(text: Text) -> None:
        if announces:
            session.note(text)

    async with open_node(settings, on_progress=write) as node:
        await _demand_tenant(session, node)
        yield node


def unlocked(session: Session) -> Settings:
    """Return the settings; a passphrase is asked for when keys are sealed and a person is there."""
    settings = session.settings
    if settings.passphrase is not None or not session.is_interactive:
        return settings
    try:
        is_sealed = b'"sealed"' in (settings.keys_folder / "node.key").read_bytes()
    except OSError:
        return settings
    if not is_sealed:
        return settings
    from loglineos.faces.cli.prompts import ask_secret  # noqa: PLC0415

    return msgspec.structs.replace(settings, passphrase=ask_secret(session, _PASSPHRASE))


def encode(document: Any) -> str:
    """Return a document as JSON in one line."""
    return msgspec.json.encode(document, enc_hook=_told).decode()


def _told(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    return str(value)


async def _demand_tenant(session: Session, node: Node) -> None:
    if session.only_looks and await node.writer.log_size(session.tenant) is None:
        raise UnknownTenant(which=session.tenant)


_NODE_IN: Final = Text("um nó em", "node in")
_NO_NODE: Final = Text(
    "`logline init` ou `logline up` faz um nó; --home ou LOGLINE_HOME diz onde está o seu",
    "`logline init` or `logline up` makes a node; --home or LOGLINE_HOME says where yours is",
)
_OPENING: Final = Text("a abrir o nó", "opening the node")
_PASSPHRASE: Final = Text("frase-passe das chaves", "passphrase of the keys")
