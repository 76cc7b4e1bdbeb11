"""The commands that look, prove, and move whole logs."""

# ruff: noqa: E501 - one line for each command reads as a table
from __future__ import annotations

from typing import Final

from loglineos.base.language import Text
from loglineos.faces.cli.command import Command

# fmt: off
READING: Final[tuple[Command, ...]] = (
    Command(path="timeline", target="looking:timeline", group="look", about=Text("a linha do tempo, filtrada, ao vivo se quiser", "the timeline, filtered, live if you like"), examples=("timeline --who joao --since ontem", "timeline --text 'pedido 31*' --status executed", "timeline --follow")),
    Command(path="show", target="looking:show", group="look", about=Text("um registo inteiro, e o que se pode fazer com ele", "one record whole, and what may be done with it"), examples=("show '#12'",)),
    Command(path="history", target="looking:history", group="look", about=Text("a vida de uma entidade, acontecimento a acontecimento", "the life of an entity, event by event"), examples=("history '#12'",)),
    Command(path="ghosts", target="looking:ghosts", group="look", about=Text("o que espera ser completado", "what waits to be completed"), examples=("ghosts",)),
    Command(path="stats", target="looking:stats", group="look", about=Text("a casa em números", "the house in numbers"), examples=("stats --since 30d",)),
    Command(path="verify", target="checking:verify", group="prove", about=Text("verifica tudo, uma casa, um registo, ou uma exportação sem base de dados", "verify everything, one tenant, one record, or an export without any database"), more=Text("Sem argumento: todos os logs deste nó (com --tenant, só essa casa). Com um id ou #posição: um registo. Com um ficheiro ou pasta: uma exportação ou uma árvore de tiles.", "Without an argument: all logs of this node (with --tenant, that tenant only). With an id or #position: one record. With a file or folder: an export, or a tile tree."), examples=("verify", "verify '#12'", "verify casa.jsonl")),
    Command(path="proof", target="checking:proof", group="prove", about=Text("escreve o recibo de um registo, para provar noutro lugar", "write the receipt of a record, to prove it elsewhere"), examples=("proof '#12' --out recibo.tlog-proof",)),
    Command(path="verify-receipt", target="checking:verify_receipt_file", group="prove", about=Text("confere um recibo, sem rede nem base de dados", "check a receipt, with no network and no database"), examples=("verify-receipt recibo.tlog-proof",)),
    Command(path="checkpoint", target="checking:checkpoint", group="prove", about=Text("assina e mostra o checkpoint de um log", "sign and show the checkpoint of a log"), examples=("checkpoint", "checkpoint --root")),
    Command(path="log key", target="checking:log_key", group="prove", about=Text("as chaves públicas dos logs, para quem confere", "the public keys of the logs, for who checks"), examples=("log key",)),
    Command(path="log export", target="checking:log_export", group="prove", about=Text("escreve os logs como árvore de tiles para qualquer servidor web", "write the logs as a tile tree for any web server"), examples=("log export ./logs",)),
    Command(path="export", target="moving:export_log_records", group="move", about=Text("leva os registos: JSONL, CSV ou Parquet", "take the records out: JSONL, CSV or Parquet"), examples=("export casa.jsonl", "export pasta --folders", "export - --format csv")),
    Command(path="import", target="moving:import_log_records", group="move", about=Text("traz um log exportado, para os mesmos hashes", "bring in an exported log, to the same hashes"), examples=("import casa.jsonl",)),
    Command(path="backup", target="moving:make_backup", group="node", about=Text("faz uma cópia de segurança do nó", "make a backup of the node"), examples=("backup copia.logline-backup",)),
    Command(path="restore", target="moving:restore_backup", group="node", about=Text("repõe um nó a partir de uma cópia", "make a node from a backup"), examples=("restore copia.logline-backup --home ./outra",)),
    Command(path="rebuild", target="upkeep:rebuild_derived", group="node", about=Text("prova que as tabelas derivadas são o que o registo diz", "prove that the derived tables are what the registry says"), examples=("rebuild", "rebuild --write")),
    Command(path="doctor", target="upkeep:doctor", group="node", about=Text("examina o nó e diz o que fazer", "examine the node and say what to do"), examples=("doctor",)),
)
# fmt: on
