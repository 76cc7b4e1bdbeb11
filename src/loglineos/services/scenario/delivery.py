"""Deliveries: scheduled, ridden, handed over or not, late or not, and what comes after.

Always holds: a delivery lies inside its courier's shift, at the place where the courier then is on
the route; `details` say when it was promised and by how many minutes it missed.
"""

from __future__ import annotations

from typing import Any

from loglineos.services.scenario.couriers import place_on
from loglineos.services.scenario.rhythm import MINUTE, Day, Instant, moment_of, stamp
from loglineos.services.scenario.scene import Scene, Shift
from loglineos.services.scenario.story import Act, Story
from loglineos.services.scenario.witness import ask_about_delivery, open_incident

_LATE_MIN = 5
"""Minutes past the promise from which a delivery counts, and is tagged, as late."""


def deliver(scene: Scene, story: Story, day: Day, ready: Act, payment: Act, *, client: str) -> bool:
    """Tell a delivery and its aftermath; False, and nothing told, when no courier is free."""
    out = ready.at + story.pause(60, 300)
    shift = scene.courier_for(out, out + 75 * MINUTE) or scene.courier_for(out, out + 40 * MINUTE)
    if shift is None:
        return False
    done = out + _ride(scene, story, day, shift)
    if done >= shift.off:
        done = shift.off - story.pause(30, 200)
    promised = payment.at + 45 * MINUTE
    shift.open_until.append(done)
    address = f"{scene.dice.pick(scene.house.streets)}, {scene.dice.between(1, 90)}"
    delivery = story.act(
        "programar_entrega", ready.at + story.pause(3, 30), who="queue.delivery_scheduler",
        by="queue.processor", this=f"entrega do {ready.kept['this']}", status="scheduled",
        cause=ready, branch="ok", owner=client, shared=(shift.courier, client), queue="entregas",
        run_at=moment_of(out), related_to=(payment.id,),
        details={"morada": address, "prometida_para": stamp(promised), "rota": shift.route},
    )  # fmt: skip
    story.move(delivery, out, "iniciar_entrega", who=shift.courier, status="running", attempt=1)
    if scene.dice.chance(5):
        again = _find_nobody(scene, story, shift, delivery, done, client=client)
        if again is None:
            return True
        done = again
    _hand_over(scene, story, shift, delivery, done, promised=promised)
    scene.remember(done, this=ready.kept["this"], entity=delivery.id, trace=story.trace)
    if scene.due("pergunta", 70):
        ask_about_delivery(
            scene, story, day, delivery, payment, client=client, courier=shift.courier
        )
    return True


def _ride(scene: Scene, story: Story, day: Day, shift: Shift) -> Instant:
    """Return how long the ride takes: rain slows everyone, one courier is slow by habit."""
    ride = story.pause(420, 1200)
    if day.is_stormy:
        ride += story.pause(480, 1500)
    if scene.dice.chance(85 if shift.courier == scene.house.habitually_late else 7):
        ride += story.pause(1500, 2700)
    return ride


def _find_nobody(
    scene: Scene, story: Story, shift: Shift, delivery: Act, at: Instant, *, client: str
) -> Instant | None:
    """Tell an absent client and the second ride; None when there is no time for one."""
    story.move(
        delivery, at, "registar_cliente_ausente", who=shift.courier, status="failed",
        error={"codigo": "cliente_ausente"}, tags=("cliente_ausente",), attempt=1,
        **_whereabouts(scene, shift, at),
    )  # fmt: skip
    moved = story.act(
        "reagendar_entrega", at + story.pause(30, 120), who="autocorrect", by="queue.processor",
        this=delivery.kept["this"], status="executed", cause=delivery, branch="not", owner=client,
        shared=(shift.courier, client), details={"remedio": "segunda volta no mesmo turno"},
    )  # fmt: skip
    again = moved.at + story.pause(900, 2400)
    if again + 6 * MINUTE >= shift.off:
        story.move(
            delivery, moved.at + story.pause(20, 90), "matar_tarefa", who="queue.processor",
            status="dead", attempt=1,
        )  # fmt: skip
        open_incident(scene, story, delivery, delivery.at + story.pause(20, 90), client=client)
        return None
    story.move(
        delivery, moved.at + story.pause(5, 30), "repor_entrega_na_fila", who="queue.processor",
        status="queued", run_at=moment_of(again), attempt=1,
    )  # fmt: skip
    story.move(delivery, again, "iniciar_entrega", who=shift.courier, status="running", attempt=2)
    return again + story.pause(60, 300)


def _hand_over(
    scene: Scene, story: Story, shift: Shift, delivery: Act, at: Instant, *, promised: Instant
) -> None:
    late = max(0, (at - promised) // MINUTE)
    story.move(
        delivery, at, "registar_entrega", who=shift.courier, status="executed",
        tags=("atraso",) if late >= _LATE_MIN else ("a_horas",),
        details={"prometida_para": stamp(promised), "atraso_min": late, "rota": shift.route},
        duration_ms=(at - delivery.at) // 1000, **_whereabouts(scene, shift, at),
    )  # fmt: skip


def _whereabouts(scene: Scene, shift: Shift, at: Instant) -> dict[str, Any]:
    latitude, longitude = place_on(scene.house.routes[shift.route], shift.metres_at(at))
    return {"latitude": latitude, "longitude": longitude}
