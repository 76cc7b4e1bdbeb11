"""Ghosts: acts as people really type them, with something missing, and how they are completed.

Always holds: a ghost never fits the nine-field rule; who completes one is not who typed it; seven
in ten are completed, evenly. The drafts are what the author typed: `valid`, `ghost_reason` and the
status `ghost` are the ledger's to give.
"""

from __future__ import annotations

from typing import Any, Final

from loglineos.services.scenario.house import GhostAct
from loglineos.services.scenario.rhythm import DAY, HOUR, MINUTE, Day, Instant, moment_of, stamp
from loglineos.services.scenario.scene import Scene
from loglineos.services.scenario.story import Act, Story

COMPLETED_PERCENT: Final = 70

KINDS: Final[tuple[tuple[tuple[str, ...], int], ...]] = (
    (("who",), 5),
    (("did",), 4),
    (("this",), 5),
    (("when",), 5),
    (("confirmed_by",), 14),
    (("if_ok",), 4),
    (("if_doubt",), 8),
    (("if_not",), 8),
    (("if_ok", "if_doubt", "if_not"), 12),
    (("confirmed_by", "if_doubt"), 9),
    (("confirmed_by", "if_ok", "if_doubt", "if_not"), 10),
    (("when", "confirmed_by"), 4),
    (("who", "confirmed_by"), 2),
    (("malformed when",), 5),
    (("unknown status",), 5),
    (("blank status",), 2),
    (("declared",), 3),
    (("raw",), 5),
)
"""What is missing or wrong, and how often: seven in ten lack the witness or a consequence."""

_COLUMN: Final = {"when": "at"}
_BUT_STATUS: Final = ("who", "did", "this", "at", "confirmed_by", "if_ok", "if_doubt", "if_not")


def tell_ghost(scene: Scene, day: Day, start: Instant, *, horizon: Instant) -> Story:
    """Tell one ghost: how it was typed, who asked about it, who completed it, what followed."""
    story, dice = scene.story(), scene.dice
    kind = KINDS[scene.deal("ghosts", [weight for _, weight in KINDS])][0]
    wish = dice.pick(scene.house.ghost_acts)
    author = _author(scene, day, start, wish)
    words = _words(scene, start, author=author)
    ghost = _complete_form(scene, story, wish, author, start, words)
    story.raw(start, _typed(scene, ghost, kind, start, words))
    if dice.chance(28):
        _ask(story, ghost, start + story.pause(20, 300), author=author)
    if scene.due("completo", COMPLETED_PERCENT):
        _complete(scene, story, day, ghost, author, start, horizon=horizon)
    return story


def _author(scene: Scene, day: Day, start: Instant, wish: GhostAct) -> str:
    role = scene.dice.pick(wish.roles)
    if role == "operator":
        return scene.desk(day, start)
    if role in ("courier", "client"):
        return scene.dice.pick(scene.people[role])
    return "ana" if role == "manager" else "helena"


def _words(scene: Scene, start: Instant, *, author: str) -> dict[str, str]:
    dice, house, recent = scene.dice, scene.house, scene.recall(start)
    order = recent.this if recent and recent.this.startswith("pedido") else "pedido de há pouco"
    return {
        "{order}": order,
        "{room}": str(100 * dice.between(1, 2) + dice.between(1, 12)),
        "{avaria}": dice.pick(house.avarias),
        "{expense}": dice.pick(house.expenses),
        "{note}": dice.pick(house.notes),
        "{client}": scene.client(),
        "{message}": dice.pick(house.chat_messages),
        "{who}": author,
    }


def _fill(text: str, words: dict[str, str]) -> str:
    for mark, word in words.items():
        text = text.replace(mark, word)
    return text


def _complete_form(
    scene: Scene, story: Story, wish: GhostAct, author: str, at: Instant, words: dict[str, str]
) -> Act:
    """Return the act as it will be once complete; it is not told yet."""
    recent = scene.recall(at)
    ghost = story.act(
        wish.did, at, who=author, by="communicator.app" if author == "ana" else "ana",
        this=_fill(wish.this, words), status="valid", owner=author,
        related_to=(recent.id,) if recent else None,
    )  # fmt: skip
    del story.lines[-1]
    ghost.kept["who"], ghost.kept["did"] = author, wish.did
    return ghost


def _typed(
    scene: Scene, ghost: Act, kind: tuple[str, ...], at: Instant, words: dict[str, str]
) -> dict[str, Any]:
    """Return what the author typed; `metadata.received_at` tells when, if they did not."""
    typed: dict[str, Any] = {
        **ghost.kept, "seq": 0, "at": moment_of(at), "type": "human", "visibility": "tenant",
    }  # fmt: skip
    if scene.dice.chance(30):
        typed["status"] = "executed"
    match kind[0]:
        case "raw":
            typed.update(dict.fromkeys(_BUT_STATUS))
            typed.pop("status", None)
            raw = _fill(scene.dice.pick(scene.house.ghost_raw), words)
            typed["details"] = {"given": {"raw": raw}}
        case "malformed when":
            typed["at"] = None
            typed["details"] = {"given": {"when": scene.dice.pick(scene.house.ghost_when)}}
        case "unknown status":
            typed["status"] = scene.dice.pick(scene.house.ghost_status)
        case "blank status":
            typed["status"] = None
            typed["details"] = {"given": {"status": ""}}
        case "declared":
            typed["status"] = "ghost"
        case _:
            for name in kind:
                typed[_COLUMN.get(name, name)] = None
    if typed["at"] is None:
        typed["metadata"] = {"received_at": stamp(at)}
    return typed


def _ask(story: Story, ghost: Act, at: Instant, *, author: str) -> None:
    story.act(
        "pedir_complemento", at, who="ghost.handler", by="logline.validator", status="waiting",
        this=f"o que falta em: {ghost.kept['this']}", cause=ghost, branch="doubt", owner=author,
        shared=(author,),
    )  # fmt: skip


def _complete(
    scene: Scene, story: Story, day: Day, ghost: Act, author: str, start: Instant, *,
    horizon: Instant,
) -> None:  # fmt: skip
    is_same_day = scene.dice.chance(65)
    at = start + (story.pause(600, 18_000) if is_same_day else story.pause(18_000, 144_000))
    if at > horizon - 2 * HOUR:
        at = start + story.pause(330, 900)
    hour = (at + day.offset_h * HOUR) % DAY // HOUR
    if hour < 7 and at + 8 * HOUR < horizon - 2 * HOUR:
        at += 8 * HOUR
    who = scene.other_than(author, day=day, at=at)
    kept = ghost.kept
    witness = who if kept["confirmed_by"] == author else kept["confirmed_by"]
    typed = {**kept, "confirmed_by": witness, "seq": 1, "at": moment_of(at), "status": "valid"}
    typed["type"] = "human"
    typed["metadata"] = {"gesture": "complete", "by": who}
    story.raw(at, typed)
    if scene.dice.chance(22):
        kept.pop("who")
        kept.pop("did")
        ghost.seq = 1
        at = min(at + story.pause(120, 3_000), max(horizon - MINUTE, at + MINUTE))
        story.move(ghost, at, "confirmar_registo", who=who, status="confirmed", gesture="confirm")
