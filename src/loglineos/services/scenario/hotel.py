"""The hotel: a reservation, the stay with its requests, the departure and its invoice.

Always holds: a room has one guest at a time; requests lie between check-in and check-out; a
reservation that finds the house full is denied and other dates are proposed.
"""

from __future__ import annotations

from typing import Final

from loglineos.services.scenario.rhythm import DAY, HOUR, MINUTE, Day, Instant, stamp
from loglineos.services.scenario.sales import euros
from loglineos.services.scenario.scene import Scene
from loglineos.services.scenario.story import Act, Story

_NIGHT_CENTS: Final = 8_400
_REQUESTS: Final[tuple[tuple[str, int, int, int], ...]] = (
    # code, first and last hour of the day that it is asked, how often
    ("pedir_pequeno_almoco", 7, 10, 34),
    ("pedir_servico_de_quarto", 19, 22, 24),
    ("pedir_toalhas", 10, 20, 14),
    ("pedir_limpeza", 10, 15, 10),
    ("pedir_taxi", 8, 22, 8),
    ("reportar_avaria", 9, 22, 10),
)


def tell_stay(scene: Scene, day: Day, start: Instant, *, horizon: Instant) -> Story:
    """Tell one stay from its reservation on; what would lie past `horizon` is still to come."""
    story, dice = scene.story(), scene.dice
    guest, nights = scene.client(), dice.between(1, 4)
    first = day.midnight + dice.between(0, 3) * DAY
    if first + 15 * HOUR < start + 2 * HOUR:
        first += DAY
    arrival = first + dice.between(15 * HOUR, 20 * HOUR)
    departure = first + nights * DAY + dice.between(8 * HOUR, 12 * HOUR)
    reservation = story.act(
        "reservar_quarto", start, who=guest, by="communicator.app", status="pending", owner=guest,
        this=f"quarto para {guest}, noites: {nights}",
        details={
            "chegada": stamp(arrival), "noites": nights, "total": euros(nights * _NIGHT_CENTS),
            "moeda": "EUR",
        },
    )  # fmt: skip
    desk, at = scene.desk(day, start), start + story.pause(300, 3_000)
    room = scene.take_room(arrival, departure) if not dice.chance(7) else None
    if room is None:
        story.move(
            reservation, at, "recusar_reserva", who=desk, status="denied", gesture="deny",
            details={"motivo": "casa cheia nessas noites"},
        )  # fmt: skip
        story.consequence(
            reservation, "not", at + story.pause(30, 300), who="communicator.app", by=desk,
            owner=guest,
        )  # fmt: skip
        return story
    story.move(
        reservation, at, "confirmar_reserva", who=desk, status="confirmed", gesture="confirm",
        details={"quarto": room},
    )  # fmt: skip
    if departure + 6 * HOUR < horizon:
        _stay(scene, story, day, reservation, guest, room, arrival, departure)
    return story


def _stay(
    scene: Scene, story: Story, day: Day, reservation: Act, guest: str, room: int,
    arrival: Instant, departure: Instant,
) -> None:  # fmt: skip
    desk = scene.desk(day, arrival)
    stay = story.consequence(
        reservation, "ok", arrival, who=guest, by=desk, status="valid", owner=guest,
        this=f"estadia no quarto {room}", session_id=str(reservation.id),
    )  # fmt: skip
    scene.remember(arrival, this=f"quarto {room}", entity=stay.id, trace=story.trace)
    first = day.midnight + (arrival - day.midnight) // DAY * DAY
    settled = arrival + 20 * MINUTE
    for offset in range((departure - first) // DAY + 1):
        for _ in range(scene.dice.between(0, 2)):
            did, begin, end, _share = _REQUESTS[
                scene.dice.weighted([request[3] for request in _REQUESTS])
            ]
            at = first + offset * DAY + scene.dice.between(begin * 3600, end * 3600) * 1_000_000
            at += scene.dice.between(0, 999_999)
            if settled < at < departure - HOUR:
                _request(scene, story, day, stay, did, at, guest=guest, room=room)
    if scene.dice.chance(25):
        _late_departure(scene, story, day, stay, departure - story.pause(3_600, 7_200), guest, room)
    _depart(scene, story, day, stay, departure, guest=guest, room=room)


def _request(
    scene: Scene, story: Story, day: Day, stay: Act, did: str, at: Instant, *, guest: str, room: int
) -> None:
    desk = scene.desk(day, at)
    if did == "reportar_avaria":
        fault = story.act(
            did, at, who=guest, by=desk, status="valid", cause=stay, branch="doubt", owner=guest,
            this=f"{scene.dice.pick(scene.house.avarias)} no quarto {room}", parent_id=stay.id,
        )  # fmt: skip
        story.consequence(
            fault, "ok", at + story.pause(900, 7_000), who=scene.house.desk["floors"], by=guest,
            owner=guest, duration_ms=scene.dice.between(300, 2_400) * 1000,
        )  # fmt: skip
        return
    request = story.act(
        did, at, who=guest, by="communicator.app", status="pending", cause=stay, branch="ok",
        this=f"quarto {room}", owner=guest, parent_id=stay.id,
    )  # fmt: skip
    worker = scene.house.desk["floors"] if did in ("pedir_toalhas", "pedir_limpeza") else desk
    at += story.pause(60, 500)
    story.move(request, at, "iniciar_atendimento", who=worker, status="running", worker=worker)
    took = story.pause(240, 1_700)
    story.move(
        request, at + took, "atender_pedido", who=worker, status="executed", worker=worker,
        duration_ms=took // 1000,
    )  # fmt: skip
    if scene.dice.chance(35):
        story.move(
            request, at + took + story.pause(60, 900), "confirmar_atendimento", who=guest,
            status="confirmed", gesture="confirm",
        )  # fmt: skip


def _late_departure(
    scene: Scene, story: Story, day: Day, stay: Act, at: Instant, guest: str, room: int
) -> None:
    desk = scene.desk(day, at)
    request = story.act(
        "pedir_saida_tardia", at, who=guest, by="communicator.app", status="pending", cause=stay,
        branch="ok", this=f"quarto {room} até às 14h", owner=guest, parent_id=stay.id,
    )  # fmt: skip
    at += story.pause(120, 900)
    if scene.dice.chance(45):
        story.move(
            request, at, "aprovar_saida_tardia", who=desk, status="confirmed", gesture="confirm"
        )
        return
    story.move(
        request, at, "recusar_saida_tardia", who=desk, status="denied", gesture="deny",
        details={"motivo": "quarto reservado para hoje"},
    )  # fmt: skip
    story.consequence(request, "not", at + story.pause(10, 200), who=desk, by=guest, owner=guest)


def _depart(
    scene: Scene, story: Story, day: Day, stay: Act, at: Instant, *, guest: str, room: int
) -> None:
    desk = scene.desk(day, at)
    leaving = story.consequence(
        stay, "ok", at, who=guest, by=desk, this=f"saída do quarto {room}", owner=guest
    )
    story.move(stay, at + story.pause(20, 90), "concluir_estadia", who=desk, status="executed")
    invoice = story.consequence(
        leaving, "ok", at + story.pause(100, 300), who="invoice.service", by=desk,
        this=f"fatura #{scene.number('fatura')} da estadia no quarto {room}", owner=guest,
        related_to=(stay.id,), content_type="application/pdf", bucket="faturas",
        content_hash=scene.dice.hexadecimal(64), size_bytes=scene.dice.between(20_000, 70_000),
        object_key=f"{scene.tenant}/faturas/{leaving.id}.pdf",
    )  # fmt: skip
    story.consequence(
        invoice, "ok", invoice.at + story.pause(30, 400), who="payment.gateway", by=desk,
        owner=guest, cost_micros=scene.dice.between(400, 2_600) * 1000, currency="EUR",
    )  # fmt: skip
    story.act(
        "limpar_quarto", at + story.pause(1_800, 9_000), who=scene.house.desk["floors"], by=desk,
        this=f"quarto {room}", status="executed", cause=leaving, branch="ok",
        duration_ms=scene.dice.between(900, 2_700) * 1000,
    )  # fmt: skip
    if scene.dice.chance(35):
        story.act(
            "avaliar_estadia", at + story.pause(7_200, 18_000), who=guest, by="communicator.app",
            this=f"estadia no quarto {room}", status="valid", cause=leaving, branch="ok",
            owner=guest, visibility="public",
            details={"estrelas": 3 + scene.dice.between(0, 2)},
        )  # fmt: skip
