"""The command line: `logline`.

    command.py, commands*.py    what commands there are, in both languages, and where each lives
    app.py                      from the words on the line to the exit status
    options.py, parsing.py      the options of every command; the words of one command
    session.py                  what a command gets: settings, node, ways to answer
    render.py, records.py, ...  how answers look to people

Always holds: answers go to stdout, everything else to stderr; a command's module is imported only
when that command runs.
"""

from __future__ import annotations

from loglineos.faces.cli.app import main

__all__ = ["main"]
