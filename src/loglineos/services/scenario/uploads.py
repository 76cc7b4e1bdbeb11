"""Uploads: a file arrives, gets its vector, is moderated, and is published or sent back.

Always holds: nothing is published before a moderation that let it pass; a doubtful file is asked
about before it comes under review.
"""

from __future__ import annotations

from typing import Final

from loglineos.services.scenario.rhythm import Day, Instant
from loglineos.services.scenario.scene import Scene
from loglineos.services.scenario.story import Act, Story
from loglineos.services.scenario.witness import answer, ask

_KINDS: Final = (
    ("enviar_imagem", "jpg", "image/jpeg", 180_000, 4_200_000),
    ("enviar_video", "mp4", "video/mp4", 6_000_000, 90_000_000),
    ("enviar_documento", "pdf", "application/pdf", 30_000, 900_000),
)
_SUBJECTS: Final = ("terraço", "quarto", "ementa", "prato_do_dia", "praia", "receção", "ensaio")


def tell_upload(scene: Scene, day: Day, start: Instant) -> Story:
    """Tell one upload until it is published, refused, or left in doubt."""
    story, dice = scene.story(), scene.dice
    author = dice.pick((scene.client(), scene.desk(day, start), "ana"))
    did, suffix, content_type, least, most = dice.pick(_KINDS)
    name = f"{dice.pick(_SUBJECTS)}_{dice.between(1000, 9999)}.{suffix}"
    upload = story.act(
        did, start, who=author, by="storage.bucket", this=name, status="valid", owner=author,
        content_hash=dice.hexadecimal(64), content_type=content_type,
        size_bytes=dice.between(least, most), bucket="conteudos",
        object_key=f"{scene.tenant}/{name}",
    )  # fmt: skip
    vector = story.consequence(
        upload, "ok", start + story.pause(2, 30), who="embedding.agent", by="vector.index",
        status="valid", owner=author, **story.measures("vectors", tokens_in=dice.between(40, 400)),
    )  # fmt: skip
    story.move(
        upload, vector.at + story.pause(1, 9), "indexar_envio", who="system.indexer",
        status="indexed", cause=vector,
    )  # fmt: skip
    _moderate(scene, story, vector, author=author, name=name)
    return story


def _moderate(scene: Scene, story: Story, vector: Act, *, author: str, name: str) -> None:
    fate = scene.dice.between(1, 100)
    score = scene.dice.between(82, 99) if fate <= 72 else scene.dice.between(41, 62)
    verdict = story.consequence(
        vector, "ok", vector.at + story.pause(5, 60), who="auto.curator", by="llm.observer",
        status="valid", owner=author, score=score / 100,
        **story.measures("judge", tokens_in=scene.dice.between(200, 1_500)),
    )  # fmt: skip
    if fate <= 72:
        _publish(scene, story, verdict, author=author, name=name)
    elif fate <= 84:
        _refuse(story, verdict, verdict.at + story.pause(2, 20), who="auto.curator", author=author)
    else:
        question = ask(
            story, verdict, verdict.at + story.pause(3, 30), to="ana",
            text=f"{name} pode ser publicado?",
        )  # fmt: skip
        story.move(
            verdict, question.at + story.pause(1, 20), "duvidar_do_conteudo", who="llm.observer",
            status="under_review", gesture="question", cause=question,
        )  # fmt: skip
        said = answer(
            story, question, verdict.at + story.pause(600, 9_000), who="ana",
            text="Pode." if fate <= 94 else "Não, aparecem hóspedes.", score="0.99",
        )  # fmt: skip
        at = said.at + story.pause(20, 90)
        if fate <= 94:
            story.move(
                verdict, at, "ratificar_moderacao", who="ana", status="ratified", gesture="ratify"
            )
            _publish(scene, story, verdict, author=author, name=name)
        else:
            _refuse(story, verdict, at, who="ana", author=author)


def _publish(scene: Scene, story: Story, verdict: Act, *, author: str, name: str) -> None:
    published = story.consequence(
        verdict, "ok", verdict.at + story.pause(5, 90), who="upload.agent", by="auto.curator",
        owner=author, visibility="public", bucket="publico", object_key=f"{scene.tenant}/{name}",
    )  # fmt: skip
    if scene.dice.chance(8):
        at = published.at + story.pause(1_200, 9_000)
        story.move(
            published, at, "retirar_publicacao", who="ana", status="reverted", gesture="revert",
            details={"motivo": "imagem desatualizada"},
        )  # fmt: skip
        story.consequence(
            published, "not", at + story.pause(5, 60), who="communicator.app", by="ana",
            owner=author,
        )  # fmt: skip


def _refuse(story: Story, verdict: Act, at: Instant, *, who: str, author: str) -> None:
    story.move(
        verdict, at, "recusar_conteudo", who=who, status="denied", gesture="deny",
        details={"motivo": "não cumpre as regras da casa"},
    )  # fmt: skip
    story.consequence(
        verdict, "not", at + story.pause(3, 40), who="communicator.app", by=who, owner=author
    )
