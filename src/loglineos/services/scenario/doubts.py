"""Doubt and repair: changes that are noticed, expenses taken back, calls that fail.

Always holds: a change is detected before what it touched comes under review; every failure is
answered by autocorrect.
"""

from __future__ import annotations

from loglineos.services.scenario.rhythm import Day, Instant
from loglineos.services.scenario.sales import autocorrect, euros
from loglineos.services.scenario.scene import Scene
from loglineos.services.scenario.story import Act, Story
from loglineos.services.scenario.witness import answer, ask, open_incident


def tell_change(scene: Scene, day: Day, start: Instant) -> Story:
    """Tell a change that the watcher notices, the doubt, and how it ends."""
    story, dice = scene.story(), scene.dice
    desk, client = scene.desk(day, start), scene.client()
    is_price = dice.chance(35)
    if is_price:
        product, cents = dice.pick(scene.house.products)
        touched = story.act(
            "alterar_preco", start, who=desk, by="communicator.app", this=f"preço de {product}",
            status="valid", details={"antes": euros(cents), "depois": euros(cents * 3)},
        )  # fmt: skip
    else:
        touched = story.act(
            "atualizar_ficha_cliente", start, who=desk, by="communicator.app",
            this=f"ficha de {client}", status="valid", owner=client,
            details={"campo": dice.pick(("morada", "telefone", "alergias", "contribuinte"))},
        )  # fmt: skip
    change = story.act(
        "detetar_alteracao", start + story.pause(2, 60), who="ledger.changes", by="llm.auditor",
        this=f"{touched.kept['this']}: mudança feita por {desk}", status="valid", cause=touched,
        branch="doubt", related_to=(touched.id,),
    )  # fmt: skip
    story.move(
        touched, change.at + story.pause(3, 60), "questionar_alteracao", who="llm.auditor",
        status="under_review", gesture="question", cause=change,
        **story.measures("judge", tokens_in=dice.between(150, 600)),
    )  # fmt: skip
    question = ask(
        story, touched, touched.at + story.pause(5, 60), to="ana",
        text=f"Foi pedida a mudança? ({touched.kept['this']})",
    )  # fmt: skip
    fate = dice.between(1, 100)
    if fate <= 86:
        _decide(story, touched, question, fate)
    return story


def _decide(story: Story, touched: Act, question: Act, fate: int) -> None:
    text = "Foi pedida, está certa." if fate <= 62 else "Ninguém a pediu."
    said = answer(
        story, question, question.at + story.pause(300, 7_000), who="ana", text=text, score="0.90"
    )
    at = said.at + story.pause(20, 200)
    if fate <= 48:
        story.move(
            touched, at, "confirmar_alteracao", who="ana", status="confirmed", gesture="confirm",
            cause=said,
        )  # fmt: skip
    elif fate <= 62:
        story.move(
            touched, at, "ratificar_alteracao", who="helena", status="ratified", gesture="ratify",
            cause=said,
        )  # fmt: skip
    else:
        story.move(
            touched, at, "negar_alteracao", who="ana", status="denied", gesture="deny", cause=said
        )
        if fate <= 82:
            story.consequence(touched, "not", at + story.pause(20, 300), who="ana", by="helena")
        else:
            story.act(
                "ignorar_consequencia", at + story.pause(20, 300), who="ana", by="helena",
                this=touched.kept["this"], status="executed", cause=touched, branch="not",
                details={"motivo": "o valor já tinha sido reposto à mão"},
            )  # fmt: skip


def tell_expense(scene: Scene, day: Day, start: Instant) -> Story:
    """Tell an expense: kept, noted, refused, taken back, perhaps ratified by the owner."""
    story, dice = scene.story(), scene.dice
    desk, fate = scene.desk(day, start), dice.between(1, 100)
    expense = story.act(
        "lancar_despesa", start, who=desk, by="ana", this=dice.pick(scene.house.expenses),
        status="valid" if fate > 88 else "executed",
        details={"valor": euros(dice.between(450, 18_000)), "moeda": "EUR"},
    )  # fmt: skip
    at = start + story.pause(600, 9_000)
    if fate > 88:
        story.move(
            expense, at, "recusar_despesa", who="ana", status="denied", gesture="deny",
            details={"motivo": "sem recibo"},
        )  # fmt: skip
        story.consequence(expense, "not", at + story.pause(30, 300), who=desk, by="ana")
    elif fate > 58:
        story.move(
            expense, at, "anotar_despesa", who="ana", status="executed", gesture="annotate",
            details={"nota": "recibo na pasta"},
        )  # fmt: skip
    elif fate > 18:
        story.move(
            expense, at, "reverter_despesa", who="ana", status="reverted", gesture="revert",
            details={"motivo": "lançada duas vezes"},
        )  # fmt: skip
        story.consequence(expense, "not", at + story.pause(30, 300), who=desk, by="ana")
        if fate <= 30:
            story.move(
                expense, at + story.pause(1_200, 7_000), "ratificar_despesa", who="helena",
                status="ratified", gesture="ratify",
            )  # fmt: skip
    return story


def tell_failure(scene: Scene, day: Day, start: Instant) -> Story:
    """Tell a call to another system that fails, what autocorrect does, and whether it helps."""
    story, dice = scene.story(), scene.dice
    fails_again = dice.chance(45 if day.is_stormy else 25)
    call = story.act(
        "chamar_servico_externo", start, who="queue.processor", by="system.indexer",
        this=dice.pick(scene.house.timeouts), status="failed", tags=("tempo_esgotado",),
        error={"codigo": "tempo_esgotado", "limite_ms": 8000}, duration_ms=8000, attempt=1,
        source_file="integracoes/chamadas.py",
    )  # fmt: skip
    fix = autocorrect(story, call, start + story.pause(2, 30), "usar a resposta guardada")
    at = fix.at + story.pause(20, 200)
    story.move(call, at, "repetir_execucao", who="queue.processor", status="running", attempt=2)
    at += story.pause(1, 8)
    if not fails_again:
        story.move(
            call, at, "concluir_execucao", who="queue.processor", status="executed", attempt=2,
            duration_ms=dice.between(200, 7_000),
        )  # fmt: skip
        return story
    story.move(
        call, at, "falhar_execucao", who="queue.processor", status="error", attempt=2,
        error={"codigo": "ligacao_recusada"}, duration_ms=8000,
    )  # fmt: skip
    alert = story.consequence(call, "not", at + story.pause(2, 30), who="queue.processor", by="ana")
    if dice.chance(30):
        open_incident(scene, story, alert, alert.at + story.pause(60, 600), client=None)
    return story
