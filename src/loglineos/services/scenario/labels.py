"""Labels of act codes: what a person reads in place of `registar_entrega`.

Always holds: every code of the example house and of the origin's LogLines has a label in both
languages.
"""

from __future__ import annotations

from importlib.resources import files

import msgspec

from loglineos.base.language import Text


def did_labels() -> dict[str, Text]:
    """Read the labels of every known code, from `rows/scenarios/did_labels.json`."""
    text = files("loglineos").joinpath("rows/scenarios/did_labels.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, Text])
