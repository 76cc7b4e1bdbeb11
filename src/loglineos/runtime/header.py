"""The header of a source file: what its author declares about it, read and never executed.

Python: a docstring, whose first sentence describes the function, and a constant that is a literal:

    FUNCTION = {"aliases": ["send receipt", "enviar recibo"], "effects": ["emit"]}

JavaScript: a comment at the very top, whose braces hold JSON:

    /* logline: {"description": "...", "effects": []} */

Always holds: nothing of the file runs here; a key that does not exist is refused.
"""

from __future__ import annotations

import ast
import re
from pathlib import PurePath
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from blake3 import blake3

from loglineos.base.errors import InvalidInput, ProgramRefused, TooLarge, UnknownName, shape_of
from loglineos.base.language import Text
from loglineos.ledger.record import Draft, Json
from loglineos.runtime.functions import (
    ENTRIES,
    Kind,
    Language,
    Tier,
    as_said,
    check_schema,
    function_id,
)
from loglineos.runtime.manifest import check_effect
from loglineos.runtime.packages import check_pin
from loglineos.runtime.sandbox.limits import SOURCE_BYTES_MAX

CONSTANTS: Final = ("FUNCTION", "POLICY")
LANGUAGES: Final[dict[str, Language]] = {".py": "python", ".pyi": "python", ".js": "javascript"}
_NAME_CHARS_MAX: Final = 100
_COMMENT: Final = re.compile(r"\A\ufeff?\s*/\*\s*logline:\s*(?P<json>\{.*?\})\s*\*/", re.DOTALL)
_PATH: Final = re.compile(r"(?P<told>.*?)(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)

Milliseconds = Annotated[int, msgspec.Meta(ge=1, le=30 * 86_400_000)]
Attempts = Annotated[int, msgspec.Meta(ge=1, le=100)]


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an author may declare. All of it is optional.

    `name`: the file's name without its ending. `runtime`: durable where the source imports `ctx` or
    declares effects, else pure. `timeout_ms`: the manifest's. `packages`: every package that a full
    one imports, pinned exactly (`NAME==VERSION`); an operator lays them out. `id`, `kernel` and
    `alias` (another house's spelling of the name) are for rows that come with the product. `shows`,
    `needs`, `on_tick` and `from_start` are a policy's: which records it is asked about, and when
    (policy/policies.py).
    """

    name: str | None = None
    id: str | None = None
    description: str | None = None
    version: str | None = None
    aliases: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()
    runtime: Tier | None = None
    entrypoint: str | None = None
    input_schema: Json = None
    output_schema: Json = None
    timeout_ms: Milliseconds | None = None
    max_attempts: Attempts = 1
    queue: str = "default"
    visibility: Literal["private", "tenant", "public"] = "tenant"
    packages: tuple[str, ...] = ()
    scheduled: bool = False
    kernel: bool = False
    alias: str | None = None
    shows: tuple[dict[str, Json], ...] = ()
    needs: tuple[dict[str, Json], ...] = ()
    on_tick: bool = False
    from_start: bool = False
    metadata: dict[str, Json] = msgspec.field(default_factory=dict)


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A source file with what it declares, checked."""

    kind: Kind
    id: UUID
    name: str
    text: str
    language: Language
    runtime: Tier
    entrypoint: str
    header: Header

    @property
    def code_hash(self) -> str:
        """The BLAKE3 of the file's UTF-8 bytes, hex."""
        return blake3(self.text.encode()).hexdigest()

    def draft(self, *, who: str, did: str) -> Draft:
        """Draft the record that defines it, without its place in the life of its entity."""
        header = self.header
        runs = self.kind == "function"
        metadata: dict[str, Json] = {
            **header.metadata,
            "max_attempts": header.max_attempts if runs else None,
            "queue": header.queue if runs else None,
            "aliases": list(header.aliases) or None,
            "input_schema": header.input_schema,
            "output_schema": header.output_schema,
            "timeout_ms": header.timeout_ms,
            "packages": list(header.packages) or None,
            "scheduled": header.scheduled or None,
            "kernel": header.kernel or None,
            "alias": header.alias,
            "shows": list(header.shows) or None,
            "needs": list(header.needs) or None,
            "on_tick": header.on_tick or None,
            "from_start": header.from_start or None,
        }
        return Draft(
            id=self.id, entity_type=self.kind, who=who, did=did, this=self.name, name=self.name,
            status="active", description=header.description, code=self.text,
            code_hash=self.code_hash, language=self.language, runtime=self.runtime,
            version=header.version, entrypoint=self.entrypoint, effects=header.effects,
            visibility=header.visibility,
            metadata={name: value for name, value in metadata.items() if value is not None},
        )  # fmt: skip


def read_source(
    text: str, *, filename: str, kind: Kind = "function", name: str | None = None
) -> Source:
    """Read a source file and what it declares; `name` wins over what it says of itself.

    Raises:
        TooLarge: longer than a program may be.
        ProgramRefused: it cannot be parsed.
        InvalidInput, UnknownName: its header says what cannot be; the error names the key.
    """
    path = PurePath(filename)
    language = LANGUAGES.get(path.suffix)
    if language is None:
        known = ", ".join(LANGUAGES)
        raise UnknownName(field="file", shape=repr(path.name)[:60], known=known)
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > SOURCE_BYTES_MAX:
        limit = {"limit": SOURCE_BYTES_MAX, "limit_name": "SOURCE_BYTES_MAX"}
        raise TooLarge(field="code", shape=f"{size} bytes", **limit)
    if language == "python":
        header, imports_ctx = _python_header(text)
    else:
        header, imports_ctx = _javascript_header(text), False
    stem = path.name if path.suffix == ".pyi" else path.name.removesuffix(path.suffix)
    name = (name or header.name or stem).strip()
    said = as_said(name)
    if not said or len(name) > _NAME_CHARS_MAX or not name.isprintable():
        raise InvalidInput(field="name", shape=shape_of(name), reason=_NAME)
    _check(header)
    if header.packages and header.runtime != "full":
        raise InvalidInput(
            field="FUNCTION.packages", shape=shape_of(header.packages), reason=_ONLY_FULL
        )
    is_asking = imports_ctx or bool(header.effects)
    default: Tier = "durable" if is_asking and kind == "function" else "pure"
    return Source(
        kind=kind, id=_id(header) or function_id(kind, name), name=name, text=text,
        language=language, runtime=header.runtime or default,
        entrypoint=header.entrypoint or ENTRIES[kind], header=header,
    )  # fmt: skip


def _python_header(text: str) -> tuple[Header, bool]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as cause:
        line = getattr(cause, "lineno", None) or 1
        told = f"line {line}: {str(cause)[:200]}"
        reason = Text("o código não se lê", "the code cannot be parsed")
        raise ProgramRefused(
            field="code", shape=f"{len(text)} characters", reason=reason, findings=told
        ) from cause
    declared: dict[str, Any] = {}
    imports_ctx = False
    for node in tree.body:
        name, value = _assigned(node)
        if name in CONSTANTS and value is not None:
            declared = _literal(value, name)
        elif isinstance(node, ast.Import):
            imports_ctx |= any(alias.name.split(".")[0] == "ctx" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imports_ctx |= (node.module or "").split(".")[0] == "ctx"
    prose = (ast.get_docstring(tree) or "").split("\n\n")[0]
    if prose and "description" not in declared:
        declared["description"] = " ".join(prose.split())
    return _header(declared), imports_ctx


def _assigned(node: ast.stmt) -> tuple[str | None, ast.expr | None]:
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
        return (target.id if isinstance(target, ast.Name) else None), node.value
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id, node.value
    return None, None


def _literal(value: ast.expr, name: str) -> dict[str, Any]:
    try:
        declared = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as cause:
        raise InvalidInput(field=name, shape=type(value).__name__, reason=_LITERAL) from cause
    if not isinstance(declared, dict):
        raise InvalidInput(field=name, shape=shape_of(declared), reason=_LITERAL)
    return declared


def _javascript_header(text: str) -> Header:
    found = _COMMENT.match(text)
    if found is None:
        return Header()
    try:
        declared = msgspec.json.decode(found["json"])
    except msgspec.DecodeError as cause:
        raise InvalidInput(field="logline", shape="JSON", reason=_JSON) from cause
    return _header(declared)


def _header(declared: dict[str, Any]) -> Header:
    unknown = [name for name in declared if name not in Header.__struct_fields__]
    if unknown:
        known = ", ".join(Header.__struct_fields__)
        raise UnknownName(field="FUNCTION", shape=repr(unknown[0])[:60], known=known)
    try:
        return msgspec.convert(declared, Header, strict=True)
    except msgspec.ValidationError as cause:
        found = _PATH.fullmatch(str(cause))
        told, path = (found["told"], found["path"] or "") if found else (str(cause), "")
        reason = Text(f"não se lê: {told}", told[:1].lower() + told[1:])
        first = path.strip(".").split("[")[0].split(".")[0]
        shape = shape_of(declared.get(first))
        raise InvalidInput(field=f"FUNCTION{path}", shape=shape, reason=reason) from cause


def _check(header: Header) -> None:
    for effect in header.effects:
        check_effect(effect, field="FUNCTION.effects")
    for alias in header.aliases:
        if not as_said(alias) or len(alias) > _NAME_CHARS_MAX or not alias.isprintable():
            raise InvalidInput(field="FUNCTION.aliases", shape=shape_of(alias), reason=_NAME)
    for package in header.packages:
        check_pin(package, field="FUNCTION.packages")
    check_schema(header.input_schema, field="FUNCTION.input_schema")
    check_schema(header.output_schema, field="FUNCTION.output_schema")


def _id(header: Header) -> UUID | None:
    if header.id is None:
        return None
    try:
        return UUID(header.id)
    except ValueError as cause:
        raise InvalidInput(field="FUNCTION.id", shape=shape_of(header.id), reason=_ID) from cause


_NAME: Final = Text(
    f"um nome tem letras ou algarismos, numa linha, até {_NAME_CHARS_MAX} caracteres",
    f"a name has letters or digits, on one line, at most {_NAME_CHARS_MAX} characters",
)
_LITERAL: Final = Text(
    "tem de ser um dicionário literal: textos, números, listas, sem chamadas nem nomes",
    "must be a literal dict: texts, numbers, lists, without calls or names",
)
_ONLY_FULL: Final = Text(
    'só uma função com "runtime": "full" tem pacotes',
    'only a function with "runtime": "full" has packages',
)
_JSON: Final = Text("o que está entre chavetas não é JSON", "what is in the braces is no JSON")
_ID: Final = Text("não é um UUID", "is no UUID")
