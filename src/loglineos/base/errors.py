"""Every error that a caller may meet, one tree.

    LoglineError
    ├── InvalidInput            what was given cannot be read or kept; names field, shape, remedy
    │   ├── TooLarge            over a named limit
    │   ├── UnknownName         a status, type, gesture, filter or option that does not exist
    │   ├── ValueRefused        a value that may not cross into or out of the sandbox
    │   └── ProgramRefused      code that cannot be published: names each line and its rewrite
    ├── NotFound                no such record, tenant, actor, key, checkpoint or file
    │   └── UnknownTenant
    ├── Conflict                (id, seq) is taken by other bytes, or the chain does not fit
    ├── Refused                 the rules say no
    │   ├── MoveNotAllowed      this status does not follow from that one
    │   ├── KeyNotTrusted       unknown, revoked or foreign key; unsafe key
    │   ├── SignatureBroken     the signature or hash does not fit the bytes
    │   ├── Forbidden           the caller's role may not do this
    │   └── NotGranted          code asks for an effect that it did not declare or was not granted
    ├── Unavailable             not now; retryable
    │   ├── Pushback            too many appends in flight; retry after `retry_after_s`
    │   ├── ReadOnly            the disk is full: reading works, writing resumes by itself
    │   ├── DatabaseUnavailable the database does not answer
    │   └── RunnerLost          the sandbox's process is gone; the journal has what was done
    ├── LogBehind               the database is behind its guard or witness: signing is refused
    ├── VerificationFailed      a proof, record, tree or file does not hold
    │   └── Diverged            a replay asked for something else than its journal says
    ├── ProgramFailed           code of the house raised, or passed a limit of the sandbox
    ├── Misconfigured           settings, keys or rights of this node are wrong
    └── Unexpected              a fault of ours that no other error names

Always holds: `code` is stable and documented in docs/reference/errors.md; fields are data, the
sentence is made from them in the reader's language; secrets are never fields.
"""

# ruff: noqa: E501 - one entry a line reads as a table
from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from loglineos.base.language import Language, Text


class LoglineError(Exception):
    """The root of the tree; carries fields, not formatted text.

    Each subclass says its `code`, its sentence and its remedy in both languages, whether a repeat
    may help (`retryable`) and the exit status of a command that ends with it.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False
    exit_status: ClassVar[int] = 1
    sentence: ClassVar[Text] = Text("erro: {reason}", "error: {reason}")
    remedy: ClassVar[Text] = Text("leia a mensagem acima", "read the message above")

    def __init__(self, **fields: object) -> None:
        """Keep the fields; `reason` may be a `Text` and is then told in the reader's language."""
        self.fields = fields
        super().__init__(self.describe("en"))

    def describe(self, language: Language) -> str:
        """Say what is wrong in one sentence."""
        return self.sentence.fill(language, **self._told(language))

    def advise(self, language: Language) -> str:
        """Say what the caller can do about it."""
        given = self.fields.get("remedy")
        if given is not None:
            return str(self._told(language)["remedy"])
        return self.remedy.fill(language, **self._told(language))

    def as_problem(self, language: Language) -> dict[str, object]:
        """Return code, sentence, remedy and fields as plain data, for `--json` and RFC 9457."""
        told = self._told(language)
        return {
            "code": self.code,
            "detail": self.describe(language),
            "remedy": self.advise(language),
            "retryable": self.retryable,
            "fields": {k: v for k, v in told.items() if k not in ("reason", "remedy")},
        }

    def _told(self, language: Language) -> dict[str, object]:
        return {k: v.in_(language) if isinstance(v, Text) else v for k, v in self.fields.items()}


class InvalidInput(LoglineError):
    """What was given cannot be read or kept. Fields: `field`, `shape` (of the value), `reason`."""

    code = "invalid_input"
    exit_status = 2
    sentence = Text("{field}: {reason} (recebido: {shape})", "{field}: {reason} (given: {shape})")
    remedy = Text("corrija o campo {field} e repita", "correct the field {field} and try again")


class TooLarge(InvalidInput):
    """Over a named limit. Fields: `field`, `shape`, `limit`, `limit_name`."""

    code = "too_large"
    sentence = Text(
        "{field} é grande demais: {shape}; o limite {limit_name} é {limit}",
        "{field} is too large: {shape}; the limit {limit_name} is {limit}",
    )
    remedy = Text(
        "guarde o conteúdo fora do registo e registe só o seu hash (content_hash)",
        "keep the content outside the record and record its hash (content_hash)",
    )


class UnknownName(InvalidInput):
    """A name that does not exist. Fields: `field`, `shape`, `known` (the names that do)."""

    code = "unknown_name"
    sentence = Text("{field}: não conheço {shape}", "{field}: {shape} is not known")
    remedy = Text("use um destes: {known}", "use one of: {known}")


class NotFound(LoglineError):
    """Nothing there. Fields: `what`, `which`."""

    code = "not_found"
    exit_status = 3
    sentence = Text("não encontrei {what} {which}", "no {what} {which}")
    remedy = Text(
        "confira o nome ou o id; `logline timeline` mostra o que existe",
        "check the name or id; `logline timeline` shows what is there",
    )


class UnknownTenant(NotFound):
    """No such tenant on this node. Fields: `which`."""

    code = "unknown_tenant"
    sentence = Text("não existe a casa {which} neste nó", "no tenant {which} on this node")
    remedy = Text(
        "crie-a com `logline tenant add {which}` ou escolha outra com --tenant",
        "make it with `logline tenant add {which}` or choose another with --tenant",
    )


class ValueRefused(InvalidInput):
    """A value may not cross the sandbox's boundary. Fields: `field` (path), `shape`, `reason`."""

    code = "value_refused"
    remedy = Text(
        "use só JSON: null, booleanos, números, textos, listas e objetos (e bytes, datas UTC e Decimal)",
        "use JSON only: null, booleans, numbers, texts, lists and objects (and bytes, UTC times and Decimal)",
    )


class ProgramRefused(InvalidInput):
    """Code that cannot be published. Fields: `field`, `shape`, `reason`, `findings` (one a line)."""

    code = "program_refused"
    remedy = Text(
        "reescreva as linhas apontadas: {findings}", "rewrite the lines named: {findings}"
    )


class Conflict(LoglineError):
    """(id, seq) is taken by other bytes, or the chain does not fit. Fields: `id`, `seq`, `head`."""

    code = "conflict"
    exit_status = 4
    sentence = Text(
        "o lugar {id}/{seq} já tem outro registo, ou não continua a cadeia (cabeça: {head})",
        "the place {id}/{seq} is taken by another record, or does not continue the chain (head: {head})",
    )
    remedy = Text(
        "leia a cabeça da entidade (`logline history {id}`) e decida de novo",
        "read the head of the entity (`logline history {id}`) and decide anew",
    )


class Refused(LoglineError):
    """The rules say no. Fields: `reason`."""

    code = "refused"
    exit_status = 7
    sentence = Text("recusado: {reason}", "refused: {reason}")


class MoveNotAllowed(Refused):
    """A status that does not follow. Fields: `old`, `new` or `gesture`, `allowed`."""

    code = "move_not_allowed"
    sentence = Text(
        "de {old} não se passa a {new}",
        "{new} does not follow from {old}",
    )
    remedy = Text("daqui pode: {allowed}", "from here you may: {allowed}")


class KeyNotTrusted(Refused):
    """Unknown, revoked, foreign or unsafe key. Fields: `key` (public, hex), `reason`."""

    code = "key_not_trusted"
    sentence = Text("a chave {key} não serve: {reason}", "the key {key} is not trusted: {reason}")
    remedy = Text(
        "`logline key list` mostra as chaves em vigor; o dono inscreve outra com `logline key enrol`",
        "`logline key list` shows the keys in force; the owner enrols another with `logline key enrol`",
    )


class SignatureBroken(Refused):
    """Signature or hash does not fit the bytes. Fields: `id`, `seq`, `reason`."""

    code = "signature_broken"
    sentence = Text(
        "a assinatura ou o hash de {id}/{seq} não confere: {reason}",
        "the signature or hash of {id}/{seq} does not hold: {reason}",
    )
    remedy = Text(
        "assine de novo os bytes canónicos (docs/reference/record.md) e repita",
        "sign the canonical bytes again (docs/reference/record.md) and retry",
    )


class Forbidden(Refused):
    """The caller's role may not do this. Fields: `actor`, `role`, `act`."""

    code = "forbidden"
    sentence = Text(
        "{actor} ({role}) não pode: {act}",
        "{actor} ({role}) may not: {act}",
    )
    remedy = Text("peça a quem tem esse direito", "ask someone who has that right")


class NotGranted(Refused):
    """Code asks for an effect that is not its own. Fields: `effect`, `function`, `reason`."""

    code = "not_granted"
    sentence = Text(
        "{function} não pode usar {effect}: {reason}", "{function} may not use {effect}: {reason}"
    )
    remedy = Text(
        "declare o efeito na função e peça à casa que o conceda no manifesto",
        "declare the effect in the function and have the house grant it in the manifest",
    )


class Unavailable(LoglineError):
    """Not now. Fields: `reason`, `retry_after_s`."""

    code = "unavailable"
    retryable = True
    exit_status = 6
    sentence = Text("agora não: {reason}", "not now: {reason}")
    remedy = Text("repita dentro de {retry_after_s} s", "retry in {retry_after_s} s")


class Pushback(Unavailable):
    """Too many appends in flight. Fields: `retry_after_s`."""

    code = "pushback"
    sentence = Text("há registos demais a caminho", "too many appends are in flight")


class ReadOnly(Unavailable):
    """The disk is full: reading works, writing resumes by itself. Fields: `retry_after_s`."""

    code = "read_only"
    sentence = Text(
        "o disco está cheio: o nó só lê até haver espaço; nada do que foi confirmado se perdeu",
        "the disk is full: the node only reads until there is room; nothing acknowledged is lost",
    )
    remedy = Text(
        "liberte espaço no disco da pasta de dados; a escrita volta sozinha",
        "free space on the disk of the data folder; writing resumes by itself",
    )


class DatabaseUnavailable(Unavailable):
    """The database does not answer. Fields: `reason`, `retry_after_s`."""

    code = "database_unavailable"
    sentence = Text(
        "a base de dados não responde: {reason}", "the database does not answer: {reason}"
    )


class RunnerLost(Unavailable):
    """The sandbox's process is gone. Fields: `reason`, `retry_after_s`."""

    code = "runner_lost"
    sentence = Text(
        "o processo da caixa de areia acabou: {reason}", "the sandbox's process is gone: {reason}"
    )


class LogBehind(LoglineError):
    """The database is behind its guard or witness. Fields: `origin`, `ours`, `theirs`, `keeper`."""

    code = "log_behind"
    exit_status = 5
    sentence = Text(
        "não assino {origin}: a base de dados tem {ours}, mas {keeper} já viu {theirs}",
        "refusing to sign {origin}: the database has {ours}, but {keeper} has already seen {theirs}",
    )
    remedy = Text(
        "restaure a cópia mais recente (`logline restore`); se a história mais nova se perdeu de vez, "
        "comece um log com outra origem: docs/how-to/recover.md",
        "restore the newest backup (`logline restore`); if the newer history is gone for good, "
        "start a log under a new origin: docs/how-to/recover.md",
    )


class VerificationFailed(LoglineError):
    """A proof, record, tree or file does not hold. Fields: `what`, `where`, `reason`."""

    code = "verification_failed"
    exit_status = 5
    sentence = Text(
        "{what} não confere em {where}: {reason}", "{what} does not hold at {where}: {reason}"
    )
    remedy = Text(
        "guarde uma cópia do que tem, não escreva mais, e compare com um recibo ou testemunha",
        "keep a copy of what you have, write no more, and compare with a receipt or a witness",
    )


class Diverged(VerificationFailed):
    """A replay parted from its journal. Fields: `execution`, `step`, `expected`, `found`."""

    code = "diverged"
    sentence = Text(
        "a execução {execution} divergiu no passo {step}: o diário diz {expected}, o código pediu {found}",
        "execution {execution} diverged at step {step}: the journal says {expected}, the code asked {found}",
    )
    remedy = Text(
        "repita com a versão do código e do motor que o registo da execução indica",
        "replay with the version of code and engine that the execution's record names",
    )


class ProgramFailed(LoglineError):
    """Code of the house raised or passed a limit. Fields: `function`, `kind`, `reason`, `where`."""

    code = "program_failed"
    sentence = Text("{function} falhou ({kind}): {reason}", "{function} failed ({kind}): {reason}")
    remedy = Text(
        "veja {where} no código da função",
        "look at {where} in the function's code",
    )


class Misconfigured(LoglineError):
    """Settings, keys or rights of this node are wrong. Fields: `setting`, `reason`."""

    code = "misconfigured"
    exit_status = 2
    sentence = Text("{setting}: {reason}", "{setting}: {reason}")
    remedy = Text("corrija {setting} e repita", "correct {setting} and try again")


class Unexpected(LoglineError):
    """A fault of ours that no other error names; told without its details. Fields: `kind`."""

    code = "unexpected"
    sentence = Text("falha inesperada: {kind}", "unexpected failure: {kind}")
    remedy = Text(
        "repita; se voltar a acontecer, corra `logline doctor` e conte-nos como foi",
        "try again; if it happens again, run `logline doctor` and tell us how it came",
    )


def every_error() -> list[type[LoglineError]]:
    """List every class of the tree, parents before children: the reference page is made of it."""
    found: list[type[LoglineError]] = []

    def walk(parent: type[LoglineError]) -> None:
        found.append(parent)
        for child in parent.__subclasses__():
            walk(child)

    walk(LoglineError)
    return found


_DIGITS_BITS_MAX: Final = 190


def shape_of(value: object) -> str:
    """Describe a value without repeating all of it: its type, and at most 60 characters of it."""
    if isinstance(value, (bytes, bytearray)):
        return f"{len(value)} bytes"
    if isinstance(value, (list, tuple, dict, set)):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > _DIGITS_BITS_MAX:
        return f"int of {value.bit_length()} bits"  # Python refuses to write out a very long one
    text = repr(value) if not isinstance(value, (msgspec.Struct,)) else type(value).__name__
    return text if len(text) <= 60 else f"{type(value).__name__} {text[:57]}..."
