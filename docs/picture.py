"""Make docs/images/timeline.svg of a real run: a node of its own, a few lines, and what the terminal shows.

    python -m docs.picture
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from docs.walk import running_node, type_in

PICTURE: Final = Path(__file__).parent / "images" / "timeline.svg"
_WIDTH: Final = 112
_ID: Final = "5f0c2f9e-7d3b-4a51-9a0e-0b8f6a3c1d27"
_STORY: Final = (
    "logline add joao registrar_entrega 'pedido 312 no quarto 204' --when 2026-03-02T12:04 --confirmed-by ana"
    " --if-ok 'enviar recibo' --if-doubt 'pedir verificação' --if-not 'abrir incidente'",
    "logline add payment.gateway executar_pagamento 'pedido 313' --when 2026-03-02T12:31 --confirmed-by banco"
    " --if-ok 'emitir fatura' --if-doubt 'perguntar ao banco' --if-not 'avisar o cliente' --status failed",
    f"logline add ines prometer 'mesa para quatro às oito' --when 2026-03-02T13:10 --id {_ID}",
)
_SHORT: Final = _ID[:8]
_SHOWN: Final = (
    f"logline complete {_SHORT} confirmed_by=ana if_ok='pôr a mesa' if_doubt='ligar' if_not='libertar a mesa'",
    f"logline confirm {_SHORT} --actor ana --note 'chegaram às oito'",
    "logline timeline --limit 5",
    f"logline proof {_SHORT} --out mesa.tlog-proof",
    "logline verify-receipt mesa.tlog-proof",
)
_THEME: Final = TerminalTheme(
    (27, 28, 30), (226, 224, 216),
    [(27, 28, 30), (226, 110, 96), (128, 190, 124), (226, 184, 96), (112, 160, 214), (196, 142, 206),
     (104, 190, 190), (200, 198, 190)],
    [(110, 110, 108), (240, 130, 116), (150, 210, 146), (240, 204, 120), (136, 180, 230), (214, 164, 222),
     (128, 208, 208), (240, 238, 230)],
)  # fmt: skip


def main() -> int:
    """Run the story, draw the terminal, write the picture."""
    with running_node(options=("--role", "ledger")) as (environment, folder):
        seen = {name: value for name, value in environment.items() if name != "NO_COLOR"}
        seen.update(FORCE_COLOR="1", COLUMNS=str(_WIDTH), TERM="xterm-256color")
        for answer in type_in(_STORY, environment=seen, folder=folder):
            assert answer.exit_status == 0, answer.output
        shown = [(line, _on_a_terminal(line, seen, folder)) for line in _SHOWN]
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(_svg(shown), encoding="utf-8")
    sys.stdout.write(f"wrote {PICTURE}\n")
    return 0


def _on_a_terminal(line: str, environment: Mapping[str, str], folder: Path) -> str:
    quietly = line.replace("logline ", "logline --quiet ", 1)  # no spinner in a still picture
    answer = type_in([quietly], environment=environment, folder=folder)[0]
    assert answer.exit_status == 0, answer.output
    return answer.output


def _svg(shown: list[tuple[str, str]]) -> str:
    with tempfile.TemporaryFile("w+") as nowhere:
        console = Console(record=True, width=_WIDTH, file=nowhere, force_terminal=True)
        for line, output in shown:
            typed = Text("$ ", style="bold green")
            typed.append(line, style="bold")
            console.print(typed, highlight=False)
            console.print(Text.from_ansi(output), highlight=False)
            console.print()
        drawn = console.export_svg(title="logline", theme=_THEME, unique_id="timeline")
    drawn = re.sub(r"(?s)@font-face \{.*?\}\s*", "", drawn)  # nothing is fetched from elsewhere
    drawn = drawn.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace")
    return re.sub(r"\bfont-family: Fira Code\b", "font-family: ui-monospace, Menlo, Consolas", drawn)


if __name__ == "__main__":
    sys.exit(main())
