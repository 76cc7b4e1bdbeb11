"""Talk: messages, promises kept and broken, drafts of the menu, notes of a shift.

Always holds: a promise is kept by a confirmation, broken by a denial, and a broken one is followed
by what it promised for "not".
"""

from __future__ import annotations

from loglineos.services.scenario.rhythm import HOUR, Day, Instant, moment_of
from loglineos.services.scenario.scene import Scene
from loglineos.services.scenario.story import Story


def tell_talk(scene: Scene, day: Day, start: Instant) -> Story:
    """Tell a promise, a message or a menu: whichever comes up."""
    fate = scene.dice.between(1, 100)
    if fate <= 55:
        return _promise(scene, day, start)
    return _message(scene, day, start) if fate <= 88 else _menu(scene, day, start)


def tell_note(scene: Scene, day: Day, start: Instant) -> Story:
    """Tell the smallest story there is: one note of the desk."""
    story = scene.story()
    story.act(
        "registar_nota", start, who=scene.desk(day, start), by="communicator.app",
        this=scene.dice.pick(scene.house.notes), status="valid",
    )  # fmt: skip
    return story


def _message(scene: Scene, day: Day, start: Instant) -> Story:
    story = scene.story()
    recent = scene.recall(start)
    about = f" ({recent.this})" if recent and scene.dice.chance(50) else ""
    is_desk = scene.dice.chance(60)
    who = scene.desk(day, start) if is_desk else scene.dice.pick(scene.people["courier"])
    story.act(
        "enviar_mensagem", start, who=who, by="communicator.app", status="valid", owner=who,
        this=scene.dice.pick(scene.house.chat_messages) + about, session_id=story.trace[:16],
        related_to=(recent.id,) if recent and about else None,
    )  # fmt: skip
    return story


def _promise(scene: Scene, day: Day, start: Instant) -> Story:
    story, dice = scene.story(), scene.dice
    who, client = scene.desk(day, start), scene.client()
    due = min(start + story.pause(1_800, 4 * 3_600), day.end - HOUR)
    due = max(due, start + story.pause(300, 600))
    promise = story.act(
        "prometer", start, who=who, by="llm.chat_witness", this=dice.pick(scene.house.promises),
        status="waiting", owner=who, shared=(client,), run_at=moment_of(due),
        session_id=story.trace[:16],
    )  # fmt: skip
    fate = dice.between(1, 100)
    if fate <= 66:
        story.move(
            promise, due - story.pause(10, 250), "cumprir_promessa", who=client,
            status="confirmed", gesture="confirm",
        )  # fmt: skip
    elif fate <= 92:
        story.move(
            promise, due + story.pause(60, 900), "faltar_a_promessa", who=client, status="denied",
            gesture="deny", tags=("promessa_quebrada",),
        )  # fmt: skip
        sorry = story.consequence(
            promise, "not", promise.at + story.pause(60, 600), who=who, by=client, owner=client
        )
        if dice.chance(40):
            story.consequence(sorry, "ok", sorry.at + story.pause(60, 500), who="ana", by=client)
    return story


def _menu(scene: Scene, day: Day, start: Instant) -> Story:
    story, desk = scene.story(), scene.desk(day, start)
    dish = scene.dice.pick(scene.house.products)[0]
    menu = story.act(
        "rascunhar_ementa", start, who=desk, by="ana", status="draft",
        this=f"ementa de {day.date}: {dish}", visibility="private", owner=desk,
    )  # fmt: skip
    if scene.dice.chance(80):
        story.move(
            menu, start + story.pause(300, 3_000), "aprovar_ementa", who="ana",
            status="confirmed", gesture="confirm",
        )  # fmt: skip
        story.consequence(
            menu, "ok", menu.at + story.pause(30, 300), who="communicator.app", by="ana",
            visibility="public",
        )  # fmt: skip
    return story
