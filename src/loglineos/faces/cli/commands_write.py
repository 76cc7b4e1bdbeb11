"""The commands that begin, write, bring in, and say who is who."""

# ruff: noqa: E501 - one line for each text reads as a table
from __future__ import annotations

from typing import Final

from loglineos.base.language import Text
from loglineos.faces.cli.command import Command

# fmt: off
WRITING: Final[tuple[Command, ...]] = (
    Command(
        path="init", target="beginning:init", group="begin",
        about=Text("faz a pasta de dados, as chaves e a primeira casa", "make the data folder, the keys and the first tenant"),
        examples=("init", "init --origin log.example.org/casa --passphrase",),
    ),
    Command(
        path="up", target="living:up", group="begin",
        about=Text("corre o nó com a linha do tempo ao vivo", "run the node with a live timeline"),
        more=Text("Na primeira vez oferece a casa de exemplo. Ctrl-C ou SIGTERM param-no bem; um segundo `up` na mesma pasta junta-se ao mesmo Postgres.", "The first time it offers the example house. Ctrl-C or SIGTERM stop it well; a second `up` on the same folder joins the same Postgres."),
        examples=("up", "up --demo",),
    ),
    Command(
        path="add", target="adding:add", group="write",
        about=Text("acrescenta um ato: quem fez o quê", "add an act: who did this"),
        more=Text("Nada se recusa: o que falta ou não se lê faz um fantasma, e a resposta diz como completá-lo.", "Nothing is refused: what is missing or cannot be read makes a ghost, and the answer says how to complete it."),
        examples=("add João entregou 'pedido 312' --confirmed-by Ana --if-ok 'enviar recibo' --if-doubt 'ligar ao cliente' --if-not 'abrir incidente'", 'add \'{"who": "Ana", "did": "confirmou", "this": "entrega 312"}\'',),
    ),
    Command(
        path="complete", target="gesturing:complete", group="write",
        about=Text("completa um fantasma: campo=valor", "complete a ghost: field=value"),
        more=Text("Num terminal, sem campos, pergunta um a um.", "On a terminal, without fields, it asks for each."),
        examples=("complete @12 confirmed_by=Ana if_ok='enviar recibo'",),
    ),
    Command(
        path="confirm", target="gesturing:confirm", group="write",
        about=Text("confirma: ser testemunha de que é assim", "confirm: be the witness that it is so"),
        examples=("confirm @12 --actor Ana",),
    ),
    Command(
        path="question", target="gesturing:question", group="write",
        about=Text("põe em dúvida", "put in doubt"),
        examples=("question @12 --note 'o cliente diz que não chegou'",),
    ),
    Command(
        path="deny", target="gesturing:deny", group="write",
        about=Text("nega: diz que não é assim (pesa)", "deny: say that it is not so (heavy)"),
        examples=("deny @12 --yes",),
    ),
    Command(
        path="revert", target="gesturing:revert", group="write",
        about=Text("desfaz por uma nova linha (pesa)", "undo by a new line (heavy)"),
        examples=("revert @12 --yes",),
    ),
    Command(
        path="ratify", target="gesturing:ratify", group="write",
        about=Text("confirma de vez, com autoridade (pesa)", "confirm for good, with authority (heavy)"),
        examples=("ratify @12 --yes",),
    ),
    Command(
        path="annotate", target="gesturing:annotate", group="write",
        about=Text("acrescenta uma nota", "add a note"),
        examples=("annotate @12 'chegou com a caixa aberta'",),
    ),
    Command(
        path="wrap", target="wrapping:wrap", group="write",
        about=Text("corre um comando e regista como começou e acabou", "run a command and record how it began and ended"),
        more=Text("O comando corre sempre; se o nó não responde, o registo espera em disco. Sai com o estado do comando.", "The command always runs; if the node does not answer, the record waits on disk. Exits with the command's status."),
        examples=("wrap -- make test", "wrap --did backup --this 'cópia da noite' -- tar czf casa.tgz dados/",),
    ),
    Command(
        path="ingest", target="ingesting:ingest", group="move",
        about=Text("lê um ficheiro de linhas: JSON, CSV, texto", "read a file of lines: JSON, CSV, text"),
        more=Text("Nenhuma linha se perde: a que não se entende faz um fantasma com o texto. Duas vezes não acrescenta nada; interrompido, continua.", "No line is lost: one that is not understood becomes a ghost with its text. Twice adds nothing; interrupted, it goes on."),
        examples=("ingest atos.jsonl", "ingest acessos.log --mapping access-log", "ingest - < atos.csv",),
    ),
    Command(
        path="import git", target="ingesting:import_git", group="move",
        about=Text("lê a história de um repositório git", "read the history of a git repository"),
        examples=("import git .",),
    ),
    Command(
        path="scenario casa", target="ingesting:scenario_casa", group="move",
        about=Text("conta a casa de exemplo", "tell the example house"),
        examples=("scenario casa --days 30 --seed 7",),
    ),
    Command(
        path="tenant add", target="people:add_tenant", group="who",
        about=Text("funda uma casa", "found a tenant"),
        examples=("tenant add pensao",),
    ),
    Command(
        path="tenant list", target="people:list_tenants", group="who",
        about=Text("mostra as casas deste nó", "list the tenants of this node"),
    ),
    Command(
        path="actor add", target="people:add_actor", group="who",
        about=Text("inscreve alguém na casa", "enrol someone in the house"),
        examples=("actor add Ana --role manager",),
    ),
    Command(
        path="actor list", target="people:list_actors", group="who",
        about=Text("mostra quem é da casa", "list who belongs to the house"),
    ),
    Command(
        path="key new", target="keys:new_key", group="who",
        about=Text("faz uma chave própria, que o nó não vê", "make an own key, which the node never sees"),
        examples=("key new joao.key",),
    ),
    Command(
        path="key enrol", target="keys:enrol", group="who",
        about=Text("inscreve a chave própria de alguém", "enrol the own key of someone"),
        examples=("key enrol 3d40…c2 João",),
    ),
    Command(
        path="key list", target="keys:list_keys", group="who",
        about=Text("mostra as chaves e se valem", "list the keys and whether they are in force"),
    ),
    Command(
        path="key rotate", target="keys:rotate", group="who",
        about=Text("troca a chave do nó, ou a que o nó guarda de alguém", "replace the key of the node, or one that it keeps for someone"),
        examples=("key rotate",),
    ),
    Command(
        path="key revoke", target="keys:revoke", group="who",
        about=Text("uma chave deixa de assinar (pesa)", "a key signs no more (heavy)"),
    ),
    Command(
        path="forget", target="forgetting:forget", group="who",
        about=Text("esquece uma pessoa; as provas ficam (pesa)", "forget a person; the proofs stay (heavy)"),
        examples=("forget hospede.204 --yes",),
    ),
    Command(
        path="db migrate", target="databases:migrate", group="node",
        about=Text("leva a base de dados ao esquema desta versão", "bring the database to the schema of this version"),
    ),
    Command(
        path="db status", target="databases:status", group="node",
        about=Text("mostra as migrações feitas e por fazer", "show the migrations done and to do"),
    ),
    Command(
        path="db distribute", target="databases:distribute", group="node",
        about=Text("distribui por casa num coordenador Citus (pesa)", "distribute by tenant on a Citus coordinator (heavy)"),
        more=Text("Sem --run só mostra o ficheiro SQL revisto.", "Without --run it only shows the reviewed SQL file."),
        examples=("db distribute", "db distribute --run",),
    ),
    Command(
        path="settings", target="about:settings", group="node",
        about=Text("mostra as definições em vigor, sem segredos", "show the settings in force, without secrets"),
    ),
    Command(
        path="version", target="about:version", group="node",
        about=Text("mostra a versão", "show the version"),
    ),
)
# fmt: on
