"""Sales: an order, its payment, its invoice, and how it reaches the client.

Always holds: nothing is prepared, handed over or delivered before its payment is executed; a
payment that never succeeds ends as `dead`, and the order is taken back.
"""

from __future__ import annotations

from typing import Any

from loglineos.services.scenario.delivery import deliver
from loglineos.services.scenario.rhythm import MINUTE, Day, Instant, moment_of
from loglineos.services.scenario.scene import Scene
from loglineos.services.scenario.story import Act, Story

_ATTEMPTS_MAX = 4


def tell_sale(scene: Scene, day: Day, start: Instant) -> Story:
    """Tell one sale from order to answer."""
    story, dice = scene.story(), scene.dice
    client, desk = scene.client(), scene.desk(day, start)
    by_app = dice.chance(65)
    order = story.act(
        "criar_pedido",
        start,
        who=client if by_app else desk,
        this=f"pedido #{scene.number('pedido')}",
        by="communicator.app" if by_app else client,
        status="pending",
        owner=client,
        details=_basket(scene),
        tags=("aplicação",) if by_app else ("telefone",),
    )
    scene.remember(start, this=order.kept["this"], entity=order.id, trace=story.trace)
    at = start + story.pause(40, 260)
    if dice.chance(4):
        _deny(story, order, at, desk=desk, client=client)
        return story
    story.move(order, at, "confirmar_pedido", who=desk, status="confirmed", gesture="confirm")
    payment = _pay(scene, story, day, order, at + story.pause(5, 60), client=client)
    if payment.status != "executed":
        _give_up(story, order, payment, desk=desk, client=client)
        return story
    _invoice(scene, story, payment, client=client)
    _prepare_and_hand_over(scene, story, day, order, payment, client=client)
    return story


def _basket(scene: Scene) -> dict[str, Any]:
    items, total = [], 0
    for _ in range(scene.dice.between(1, 3)):
        name, cents = scene.dice.pick(scene.house.products)
        count = scene.dice.between(1, 3)
        total += cents * count
        items.append({"produto": name, "quantidade": count, "preco": euros(cents)})
    return {"itens": items, "total": euros(total), "moeda": "EUR"}


def euros(cents: int) -> str:
    """Write cents as a decimal string: 1290 → "12.90"."""
    return f"{cents // 100}.{cents % 100:02d}"


def _deny(story: Story, order: Act, at: Instant, *, desk: str, client: str) -> None:
    reason = story.dice.pick(("produto esgotado", "fora da zona de entrega", "cozinha fechada"))
    story.move(
        order, at, "negar_pedido", who=desk, status="denied", gesture="deny",
        details={"motivo": reason},
    )  # fmt: skip
    cancelled = story.consequence(
        order, "not", at + story.pause(5, 90), who="queue.processor", by=desk, owner=client
    )
    story.consequence(
        cancelled, "ok", cancelled.at + story.pause(4, 60), who="communicator.app", by=client,
        this=f"{order.kept['this']} cancelado: {reason}", owner=client,
    )  # fmt: skip


def _pay(scene: Scene, story: Story, day: Day, order: Act, at: Instant, *, client: str) -> Act:
    """Run the payment's life: queued → running → executed, or failed and again, or dead."""
    payment = story.consequence(
        order, "ok", at, who="queue.payment_dispatcher", by="queue.processor", status="queued",
        owner=client, queue="pagamentos", priority=5, attempt=0, max_attempts=_ATTEMPTS_MAX,
        run_at=moment_of(at), idempotency_key=story.trace,
    )  # fmt: skip
    declines = scene.dice.chance(5)
    is_hopeless = scene.dice.chance(25)
    at += story.pause(1, 8)
    for attempt in range(1, _ATTEMPTS_MAX + 1):
        work: dict[str, Any] = {"attempt": attempt, "worker": "queue.processor"}
        story.move(
            payment, at, "iniciar_pagamento", who="queue.payment_dispatcher", status="running",
            queue="pagamentos", **work,
        )  # fmt: skip
        took = story.pause(1, 6)
        at += took
        work["duration_ms"] = took // 1000
        is_out = day.outage is not None and day.outage[0] <= at < day.outage[1]
        if not is_out and not (declines and (is_hopeless or attempt == 1)):
            story.move(
                payment, at, "executar_pagamento", who="payment.gateway", status="executed",
                cost_micros=scene.dice.between(90, 410) * 1000, currency="EUR", **work,
            )  # fmt: skip
            return payment
        at = _fail_payment(story, payment, at, work, is_out=is_out)
    return payment


def _fail_payment(
    story: Story, payment: Act, at: Instant, work: dict[str, Any], *, is_out: bool
) -> Instant:
    error = (
        {"codigo": "prestador_indisponivel", "http": 503}
        if is_out
        else {"codigo": "cartao_recusado", "http": 402}
    )
    story.move(
        payment, at, "falhar_pagamento", who="payment.gateway", status="failed", error=error,
        tags=("falha_do_prestador",) if is_out else ("cartao_recusado",), **work,
    )  # fmt: skip
    attempt = int(work["attempt"])
    if attempt == 1:
        autocorrect(story, payment, at + story.pause(2, 20), "repetir com espera crescente")
    if attempt == _ATTEMPTS_MAX:
        at += story.pause(25, 60)
        story.move(
            payment, at, "desistir_do_pagamento", who="queue.processor", status="dead",
            attempt=attempt, max_attempts=_ATTEMPTS_MAX,
        )  # fmt: skip
        return at
    wait = (4 * MINUTE << attempt) + story.pause(1, 50)
    story.move(
        payment, at + story.pause(25, 40), "repetir_pagamento", who="queue.processor",
        status="queued", run_at=moment_of(at + wait), attempt=attempt, queue="pagamentos",
    )  # fmt: skip
    return at + wait


def autocorrect(story: Story, failed: Act, at: Instant, remedy: str) -> Act:
    """Let the house answer a failure by itself; what it did is in `details.remedio`."""
    return story.act(
        "autocorrigir_falha", at, who="autocorrect", by="queue.processor", status="executed",
        this=failed.kept["this"], cause=failed, branch="not", details={"remedio": remedy},
        owner=failed.kept.get("owner_id"), tags=("autocorrecao",),
    )  # fmt: skip


def _give_up(story: Story, order: Act, payment: Act, *, desk: str, client: str) -> None:
    asked = story.consequence(
        payment, "not", payment.at + story.pause(10, 60), who="communicator.app", by=desk,
        status="waiting", owner=client,
    )  # fmt: skip
    at = asked.at + story.pause(600, 1500)
    story.move(
        order, at, "anular_pedido", who=desk, status="reverted", gesture="revert",
        details={"motivo": "sem pagamento"},
    )  # fmt: skip
    story.consequence(order, "not", at + story.pause(3, 40), who=desk, by="ana", owner=client)


def _invoice(scene: Scene, story: Story, payment: Act, *, client: str) -> None:
    invoice = story.consequence(
        payment, "ok", payment.at + story.pause(2, 25), who="invoice.service",
        by="payment.gateway", this=f"fatura #{scene.number('fatura')} do {payment.kept['this']}",
        owner=client, related_to=(payment.id,), content_type="application/pdf",
        content_hash=scene.dice.hexadecimal(64), size_bytes=scene.dice.between(18_000, 64_000),
        bucket="faturas", object_key=f"{scene.tenant}/faturas/{payment.id}.pdf",
    )  # fmt: skip
    if scene.dice.chance(35):
        story.consequence(
            invoice, "ok", invoice.at + story.pause(3, 60), who="communicator.app", by=client,
            owner=client, content_hash=invoice.id.hex * 2,
        )  # fmt: skip


def _prepare_and_hand_over(
    scene: Scene, story: Story, day: Day, order: Act, payment: Act, *, client: str
) -> None:
    ready = story.act(
        "preparar_pedido", payment.at + story.pause(480, 960), who=scene.desk(day, payment.at),
        by="communicator.app", this=order.kept["this"], status="executed", cause=payment,
        branch="ok", owner=client,
    )  # fmt: skip
    if scene.dice.chance(12) or not deliver(scene, story, day, ready, payment, client=client):
        story.act(
            "levantar_ao_balcao", ready.at + story.pause(120, 1500), who=client,
            by=scene.desk(day, ready.at), this=order.kept["this"], status="executed", cause=ready,
            branch="ok", owner=client,
        )  # fmt: skip
