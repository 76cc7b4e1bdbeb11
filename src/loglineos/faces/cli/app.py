"""From the words on the line to the exit status: options, command, help, errors.

Always holds: 0 is done, 1 failed, 2 bad input, 3 not found, 4 conflict, 5 verification failed,
6 not now, 7 refused, 130 interrupted; a reader that goes away (`| head`) is no error.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Final

from loglineos.base.errors import LoglineError, Misconfigured, ReadOnly, Unexpected, UnknownName
from loglineos.base.language import Language, Text
from loglineos.faces.cli.command import Command
from loglineos.faces.cli.commands import COMMANDS, commands_under, find_command
from loglineos.faces.cli.options import Options, language_of, take_options

INTERRUPTED: Final = 130
_FULL_RETRY_S: Final = 5


def main() -> None:
    """Run `logline` with the words of this process and end it with the exit status."""
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Run one command line; return its exit status. Never raises."""
    line = list(words)
    try:
        status = _run_line(line)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        with suppress(OSError):  # the interpreter must not fail again when it flushes at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _run_line(line: list[str]) -> int:
    language, as_json = language_of(line), "--json" in line
    try:
        options, rest = take_options(line)
        language = options.lang or _language_of_settings(options) or language
        return _dispatch(options, rest, language)
    except LoglineError as error:
        return _tell(error, language, as_json=as_json)
    except (KeyboardInterrupt, BrokenPipeError):
        raise
    except asyncio.CancelledError as cause:
        raise KeyboardInterrupt from cause
    except BaseExceptionGroup as group:
        return _tell(_first_of(group), language, as_json=as_json)
    except Exception as failure:  # the last door: told without its details
        if os.environ.get("LOGLINE_TRACE"):
            raise
        return _tell(_in_words(failure), language, as_json=as_json)


def _dispatch(options: Options, words: list[str], language: Language) -> int:
    if options.version:
        words = ["version"]
    command, rest = find_command(words)
    if command is not None and not options.help:
        return _execute(command, rest, options)
    if command is not None:
        return _show_help(command, language)
    if not words:
        _print_overview(language)
        return 0 if options.help else 2
    below = commands_under(words[0])
    if below and (options.help or len(words) == 1):
        _print_family(words[0], below, language)
        return 0 if options.help else 2
    raise _unknown(words)


def _execute(command: Command, words: list[str], options: Options) -> int:
    from loglineos.faces.cli.parsing import function_of, parse  # noqa: PLC0415
    from loglineos.faces.cli.session import Session  # noqa: PLC0415

    function = function_of(command)
    given, named = parse(function, words, path=command.path)
    logging.getLogger("stamina").addHandler(logging.NullHandler())  # we say ourselves why we wait
    logging.getLogger("asyncio").addFilter(_is_no_lost_child)
    session = Session(options, only_looks=command.group in ("look", "prove"))
    status = asyncio.run(function(session, *given, **named))
    return int(status or 0)


def _is_no_lost_child(told: logging.LogRecord) -> bool:
    """Leave out that a process of the sandbox was buried by another: it is gone all the same."""
    return "Unknown child process" not in told.getMessage()


def _unknown(words: list[str]) -> UnknownName:
    said = " ".join(words[:2]) if commands_under(words[0]) else words[0]
    paths = [command.path for command in COMMANDS]
    near = get_close_matches(said, paths, n=3, cutoff=0.5) or paths
    return UnknownName(field=_COMMAND, shape=said[:60], known=", ".join(near))


def _language_of_settings(options: Options) -> Language | None:
    """Return the language of settings that can be read; a fault in them is told later, by name."""
    from loglineos.settings import read_settings  # noqa: PLC0415

    with suppress(LoglineError):
        return read_settings(home=options.home).language
    return None


def _tell(error: LoglineError, language: Language, *, as_json: bool) -> int:
    from loglineos.faces.cli.problems import tell_problem  # noqa: PLC0415

    return tell_problem(error, language=language, as_json=as_json)


def _first_of(group: BaseExceptionGroup[BaseException]) -> LoglineError:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            return _first_of(error)
        if isinstance(error, LoglineError):
            return error
    return _in_words(group.exceptions[0])


def _in_words(failure: BaseException) -> LoglineError:
    """Say what the operating system refused, and where; of anything else its kind only."""
    if isinstance(failure, OSError) and failure.errno in (errno.ENOSPC, errno.EDQUOT):
        return ReadOnly(retry_after_s=_FULL_RETRY_S)
    if isinstance(failure, OSError) and failure.filename and failure.strerror:
        place = os.fsdecode(failure.filename)
        return Misconfigured(setting=place, reason=Text(failure.strerror, failure.strerror))
    return Unexpected(kind=type(failure).__name__)


def _show_help(command: Command, language: Language) -> int:
    from loglineos.faces.cli import help as pages  # noqa: PLC0415
    from loglineos.faces.cli.render import console  # noqa: PLC0415

    console(sys.stdout).print(pages.of_command(command, language))
    return 0


def _print_overview(language: Language) -> None:
    from loglineos.faces.cli import help as pages  # noqa: PLC0415
    from loglineos.faces.cli.render import console  # noqa: PLC0415

    console(sys.stdout).print(pages.overview(COMMANDS, language))


def _print_family(word: str, commands: list[Command], language: Language) -> None:
    from loglineos.faces.cli import help as pages  # noqa: PLC0415
    from loglineos.faces.cli.render import console  # noqa: PLC0415

    console(sys.stdout).print(pages.family(word, commands, language))


_COMMAND: Final = Text("comando", "command")
