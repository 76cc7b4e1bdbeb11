"""The columns of the registry: name, SQL type, group and meaning, in the order of the table.

The database, the `Record` struct and the reference page are held equal to this list by tests.
"""

# ruff: noqa: E501 - one entry a line reads as a table
from __future__ import annotations

from typing import Final, Literal

import msgspec

from loglineos.base.language import Text

Group = Literal[
    "identity", "nine", "optional", "relations", "access", "code", "execution", "schedule",
    "measures", "place", "proof", "rest",
]  # fmt: skip


class Column(msgspec.Struct, frozen=True):
    """One column of `ledger.universal_registry`."""

    name: str
    sql_type: str
    group: Group
    about: Text


# fmt: off
COLUMNS: Final[tuple[Column, ...]] = (
    Column("tenant_id", "text", "identity", Text("a casa a que pertence", "the tenant it belongs to")),
    Column("id", "uuid", "identity", Text("a entidade (UUIDv7)", "the entity (UUIDv7)")),
    Column("seq", "integer", "identity", Text("o número do acontecimento na vida da entidade, de 0 sem falhas", "the number of the event in the life of the entity, from 0 without gaps")),
    Column("entity_type", "text", "identity", Text("o que é: logline ou um tipo mais exato", "what it is: logline or a more exact type")),
    Column("position", "bigint", "identity", Text("o lugar no log da casa, denso desde 0; dado pelo nó", "the place in the tenant's log, dense from 0; given by the node")),
    Column("recorded_at", "timestamptz", "identity", Text("quando o nó o registou", "when the node recorded it")),
    Column("who", "text", "nine", Text("quem agiu", "who acted")),
    Column("did", "text", "nine", Text("o que fez, um verbo com intenção", "what was done, a verb with intention")),
    Column("this", "text", "nine", Text("a quê", "to what")),
    Column("at", "timestamptz", "nine", Text("quando, segundo o autor; mostra-se como when", "when, as the author claims; shown as when")),
    Column("confirmed_by", "text", "nine", Text("a testemunha: pessoa, serviço ou IA", "the witness: a person, a service or an AI")),
    Column("if_ok", "text", "nine", Text("o que segue se for aceite", "what follows if accepted")),
    Column("if_doubt", "text", "nine", Text("o que segue se houver dúvida", "what follows if in doubt")),
    Column("if_not", "text", "nine", Text("o que segue se for negado", "what follows if denied")),
    Column("status", "text", "nine", Text("o estado; ver a referência dos estados", "the status; see the reference of statuses")),
    Column("type", "text", "optional", Text("system, human, llm, ghost, webhook, intent ou contract", "system, human, llm, ghost, webhook, intent or contract")),
    Column("tags", "text[]", "optional", Text("etiquetas", "tags")),
    Column("subsystem", "text", "optional", Text("a parte do sistema que fala", "the part of the system that speaks")),
    Column("source_file", "text", "optional", Text("o ficheiro de onde veio", "the file that it came from")),
    Column("details", "jsonb", "optional", Text("o resto do que foi dito; given guarda o que não coube", "the rest of what was said; given keeps what did not fit")),
    Column("valid", "boolean", "optional", Text("os nove campos estão completos e bem formados", "all nine fields are complete and well-formed")),
    Column("ghost_reason", "text", "optional", Text("o que falta a um fantasma", "what a ghost is missing")),
    Column("parent_id", "uuid", "relations", Text("a entidade de que faz parte", "the entity that it is part of")),
    Column("related_to", "uuid[]", "relations", Text("outras entidades com que se relaciona", "other entities that it relates to")),
    Column("trace_id", "text", "relations", Text("o rasto que une uma história", "the trace that joins one story")),
    Column("span_id", "text", "relations", Text("o passo dentro do rasto", "the step inside the trace")),
    Column("session_id", "text", "relations", Text("a sessão de quem agiu", "the session of who acted")),
    Column("cause_id", "uuid", "relations", Text("a entidade que levou a isto", "the entity that led here")),
    Column("branch", "text", "relations", Text("por que ramo: ok, doubt ou not", "by which branch: ok, doubt or not")),
    Column("owner_id", "text", "access", Text("o ator a quem pertence", "the actor who owns it")),
    Column("visibility", "text", "access", Text("private, tenant ou public", "private, tenant or public")),
    Column("shared_with", "text[]", "access", Text("atores, ou role:courier, que também o leem", "actors, or role:courier, who may read it too")),
    Column("is_deleted", "boolean", "access", Text("lápide: esconde da linha do tempo, não apaga nada", "tombstone: hides from the timeline, removes nothing")),
    Column("name", "text", "code", Text("o nome de um ator, função, política", "the name of an actor, function, policy")),
    Column("description", "text", "code", Text("o que é, numa frase", "what it is, in a sentence")),
    Column("code", "text", "code", Text("código-fonte", "source code")),
    Column("code_hash", "text", "code", Text("o hash do código", "the hash of the code")),
    Column("language", "text", "code", Text("a linguagem do código", "the language of the code")),
    Column("runtime", "text", "code", Text("onde o código corre", "where the code runs")),
    Column("version", "text", "code", Text("a versão", "the version")),
    Column("entrypoint", "text", "code", Text("por onde o código começa", "where the code starts")),
    Column("effects", "text[]", "code", Text("o que o código pode pedir", "what the code may ask for")),
    Column("input", "jsonb", "execution", Text("o que entrou", "what went in")),
    Column("output", "jsonb", "execution", Text("o que saiu", "what came out")),
    Column("error", "jsonb", "execution", Text("o que correu mal", "what went wrong")),
    Column("output_hash", "text", "execution", Text("o hash do que saiu", "the hash of what came out")),
    Column("attempt", "bigint", "execution", Text("que tentativa é esta", "which attempt this is")),
    Column("max_attempts", "bigint", "execution", Text("quantas tentativas no máximo", "how many attempts at most")),
    Column("priority", "bigint", "execution", Text("a prioridade, a menor primeiro", "the priority, lowest first")),
    Column("queue", "text", "execution", Text("a fila", "the queue")),
    Column("run_at", "timestamptz", "execution", Text("quando deve correr", "when it is due")),
    Column("lease_until", "timestamptz", "execution", Text("até quando alguém o tem em mãos", "until when someone holds it")),
    Column("worker", "text", "execution", Text("quem o fez ou tem em mãos", "who did it or holds it")),
    Column("idempotency_key", "text", "execution", Text("a chave que evita fazer duas vezes", "the key that keeps it from being done twice")),
    Column("simulated", "boolean", "execution", Text("só foi encenado", "was only enacted")),
    Column("cron", "text", "schedule", Text("a expressão cron", "the cron expression")),
    Column("timezone", "text", "schedule", Text("o fuso horário", "the time zone")),
    Column("catch_up", "text", "schedule", Text("o que fazer com horas perdidas", "what to do about missed times")),
    Column("duration_ms", "bigint", "measures", Text("duração em milissegundos", "duration in milliseconds")),
    Column("cost_micros", "bigint", "measures", Text("custo em milionésimos da moeda", "cost in millionths of the currency")),
    Column("currency", "text", "measures", Text("a moeda (ISO 4217)", "the currency (ISO 4217)")),
    Column("model", "text", "measures", Text("o modelo de IA", "the AI model")),
    Column("provider", "text", "measures", Text("quem forneceu o modelo ou serviço", "who provided the model or service")),
    Column("tokens_in", "bigint", "measures", Text("tokens que entraram", "tokens in")),
    Column("tokens_out", "bigint", "measures", Text("tokens que saíram", "tokens out")),
    Column("latency_ms", "bigint", "measures", Text("latência em milissegundos", "latency in milliseconds")),
    Column("score", "double precision", "measures", Text("uma pontuação, p. ex. de confiança", "a score, e.g. of confidence")),
    Column("latitude", "double precision", "place", Text("latitude em graus (WGS 84)", "latitude in degrees (WGS 84)")),
    Column("longitude", "double precision", "place", Text("longitude em graus (WGS 84)", "longitude in degrees (WGS 84)")),
    Column("content_hash", "text", "place", Text("o hash de um conteúdo guardado fora", "the hash of content kept outside")),
    Column("content_type", "text", "place", Text("o tipo do conteúdo (MIME)", "the type of the content (MIME)")),
    Column("size_bytes", "bigint", "place", Text("o tamanho do conteúdo em bytes", "the size of the content in bytes")),
    Column("bucket", "text", "place", Text("o armário do conteúdo", "the bucket of the content")),
    Column("object_key", "text", "place", Text("a chave do conteúdo no armário", "the key of the content in the bucket")),
    Column("prev_hash", "text", "proof", Text("o curr_hash do acontecimento anterior da entidade", "the curr_hash of the entity's event before")),
    Column("curr_hash", "text", "proof", Text("BLAKE3-256 dos bytes canónicos, em hexadecimal", "BLAKE3-256 of the canonical bytes, in hex")),
    Column("signature", "text", "proof", Text("assinatura Ed25519, em hexadecimal", "Ed25519 signature, in hex")),
    Column("public_key", "text", "proof", Text("a chave pública de quem assinou, em hexadecimal", "the public key of who signed, in hex")),
    Column("metadata", "jsonb", "rest", Text("o que o sistema anota: gesture, faults, role...", "what the system notes: gesture, faults, role...")),
)
# fmt: on

COLUMN_NAMES: Final[tuple[str, ...]] = tuple(column.name for column in COLUMNS)


def column_list(prefix: str = "") -> str:
    """Write the quoted names of all columns for a SELECT or INSERT, in the order of the table."""
    return ", ".join(f'{prefix}"{name}"' for name in COLUMN_NAMES)
