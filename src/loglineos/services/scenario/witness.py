"""The witness: questions about what was done, answers, reviews, and the incidents that follow.

Always holds: a record comes under review only because of a question or a detected change, which
its event names as the cause; a denial lets its `if_not` happen.
"""

from __future__ import annotations

from loglineos.services.scenario.rhythm import Day, Instant
from loglineos.services.scenario.scene import Scene
from loglineos.services.scenario.story import Act, Story


def ask(story: Story, about: Act, at: Instant, *, text: str, to: str) -> Act:
    """Let the witness ask `to` about an act; the question waits for its answer."""
    return story.act(
        "gerar_pergunta", at, who="llm.witness", by="llm.observer", this=text, status="waiting",
        cause=about, branch="ok" if about.status == "executed" else "doubt", owner=to,
        shared=(to,), related_to=(about.id,), **story.measures("witness", tokens_in=len(text) * 3),
    )  # fmt: skip


def answer(story: Story, question: Act, at: Instant, *, who: str, text: str, score: str) -> Act:
    """Let someone answer, and close the question; `score` is a decimal string, 0 to 1."""
    said = story.consequence(
        question, "ok", at, who=who, by="communicator.app", status="valid", this=text,
        owner=who, details={"certeza": score},
    )  # fmt: skip
    story.move(
        question, at + story.pause(1, 15), "fechar_pergunta", who="llm.witness",
        status="confirmed", gesture="confirm", cause=said,
        **story.measures("witness", tokens_in=len(text) * 3),
    )  # fmt: skip
    return said


def ask_about_delivery(
    scene: Scene, story: Story, day: Day, delivery: Act, payment: Act, *, client: str, courier: str
) -> None:
    """Ask the client whether a delivery arrived, and follow the answer: yes, perhaps, no, none."""
    text = f"A {delivery.kept['this']} chegou bem?"
    question = ask(story, delivery, delivery.at + story.pause(60, 400), text=text, to=client)
    at = question.at + story.pause(120, 4_200)
    fate = scene.dice.between(1, 100)
    if fate <= 8:
        return
    if fate <= 82:
        said = answer(story, question, at, who=client, text="Sim, chegou tudo.", score="0.95")
        if fate <= 60:
            story.move(
                delivery, said.at + story.pause(20, 240), "confirmar_entrega", who=client,
                status="confirmed", gesture="confirm", cause=said,
            )  # fmt: skip
        return
    text = "Falta uma coisa no saco." if fate <= 92 else "Não recebi nada."
    said = answer(story, question, at, who=client, text=text, score="0.40")
    story.move(
        delivery, said.at + story.pause(20, 120), "duvidar_da_entrega", who=client,
        status="under_review", gesture="question", cause=question,
    )  # fmt: skip
    is_lost = fate > 92
    _resolve(scene, story, day, delivery, payment, client=client, courier=courier, is_lost=is_lost)


def _resolve(
    scene: Scene, story: Story, day: Day, delivery: Act, payment: Act, *, client: str, courier: str,
    is_lost: bool,
) -> None:  # fmt: skip
    asked = story.consequence(
        delivery, "doubt", delivery.at + story.pause(30, 200), who="queue.processor", by="ana",
        owner=client, shared=(courier,),
    )  # fmt: skip
    at = asked.at + story.pause(600, 3_000)
    if not is_lost:
        story.move(
            delivery, at, "ratificar_entrega", who="ana", status="ratified", gesture="ratify",
            details={"decisao": "o que faltava seguiu com a segunda volta"},
        )  # fmt: skip
        return
    story.move(
        delivery, at, "negar_entrega", who=scene.other_than(courier, day=day, at=at),
        status="denied", gesture="deny", details={"motivo": "o cliente não recebeu"},
    )  # fmt: skip
    open_incident(scene, story, delivery, at + story.pause(10, 90), client=client)
    story.move(
        payment, at + story.pause(300, 1_500), "estornar_pagamento", who="ana",
        status="reverted", gesture="revert", details={"motivo": "entrega negada"},
    )  # fmt: skip


def open_incident(
    scene: Scene, story: Story, cause: Act, at: Instant, *, client: str | None
) -> Act:
    """Open the incident that `cause` promised for "not", work on it, and close it."""
    incident = story.consequence(
        cause, "not", at, who="queue.processor", by="ana", status="pending",
        this=f"incidente {scene.number('incidente')}: {cause.kept['this']}", owner=client,
        tags=("incidente",),
    )  # fmt: skip
    at += story.pause(120, 900)
    story.move(incident, at, "tratar_incidente", who="ana", status="running")
    if scene.dice.chance(40):
        at += story.pause(60, 600)
        story.move(
            incident, at, "anotar_incidente", who=scene.house.desk["afternoon"],
            status="running", gesture="annotate", details={"nota": "cliente contactado"},
        )  # fmt: skip
    at += story.pause(300, 2_400)
    story.move(incident, at, "resolver_incidente", who="ana", status="complete")
    story.consequence(
        incident, "ok", at + story.pause(30, 300), who="ana", by="helena", owner=client,
        details={"oferta": "vale de 10.00 EUR", "valor": "10.00", "moeda": "EUR"},
    )  # fmt: skip
    return incident
