"""The commands about the code of the house and its law."""

# ruff: noqa: E501 - one line for each command reads as a table
from __future__ import annotations

from typing import Final

from loglineos.base.language import Text
from loglineos.faces.cli.command import Command

# fmt: off
GOVERNING: Final[tuple[Command, ...]] = (
    Command(path="fn push", target="functions:push_function", group="run", about=Text("publica uma função a partir de um ficheiro .py ou .js", "publish a function from a .py or .js file"), more=Text("O ficheiro é lido e experimentado no motor que o vai correr antes de ficar no registo; o que declara está em FUNCTION (docs/how-to/functions.md). Os mesmos bytes duas vezes não acrescentam nada.", "The file is read, and tried in the engine that will run it, before it is recorded; what it declares stands in FUNCTION (docs/how-to/functions.md). The same bytes twice append nothing."), examples=("fn push enviar_recibo.py", "fn push saldo.js --check")),
    Command(path="fn list", target="functions:list_functions", group="run", about=Text("as funções da casa", "the functions of the house"), examples=("fn list", "fn list --kernels")),
    Command(path="fn show", target="functions:show_function", group="run", about=Text("uma função: o que declara, quem a publicou, o código", "a function: what it declares, who published it, its code"), examples=("fn show enviar_recibo", "fn show enviar_recibo --seq 0 --no-code")),
    Command(path="fn diff", target="functions:diff_function", group="run", about=Text("o que mudou entre duas versões de uma função", "what changed between two versions of a function"), examples=("fn diff enviar_recibo", "fn diff enviar_recibo 0 3")),
    Command(path="fn disable", target="functions:disable_function", group="run", about=Text("põe uma função em pausa: nada a corre até ser retomada", "pause a function: nothing runs it until it is resumed"), examples=("fn disable enviar_recibo --reason 'o correio está em baixo'",)),
    Command(path="fn enable", target="functions:enable_function", group="run", about=Text("retoma uma função em pausa", "resume a paused function"), examples=("fn enable enviar_recibo",)),
    Command(path="fn logs", target="functions:show_logs", group="run", about=Text("o que as últimas execuções de uma função disseram (ctx.log)", "what the last runs of a function said (ctx.log)"), examples=("fn logs enviar_recibo --limit 50",)),
    Command(path="fn packages add", target="packaging:add_packages", group="run", about=Text("prepara pacotes para funções em CPython completo", "lay out packages for functions in full CPython"), more=Text("Uma função que declara exatamente esta lista em `packages` lê a pasta dela, e nenhuma outra. Só entram wheels, nenhum código deles corre aqui, e o que um pacote precisa também se diz. Faz-se em cada máquina que corre funções; fica um registo com o resumo dos ficheiros.", "A function that declares exactly this list in `packages` reads its folder, and no other. Only wheels are taken, none of their code runs here, and what a package needs is named as well. Do it on each machine that runs functions; a record keeps the digest of the files."), examples=("fn packages add quartos==1.0", "fn packages add quartos==1.0 contas==2.1 --wheels ./wheels")),
    Command(path="fn packages list", target="packaging:list_packages", group="run", about=Text("os pacotes preparados", "the packages that were laid out"), examples=("fn packages list",)),
    Command(path="manifest show", target="governing:show_manifest", group="run", about=Text("a lei da casa: o que pode correr, e com que limites", "the law of the house: what may run, and within which limits"), examples=("manifest show",)),
    Command(path="manifest set", target="governing:set_part", group="run", about=Text("muda uma parte do manifesto; assina a chave raiz", "change a part of the manifest; the root key signs"), examples=("manifest set throttle.per_tenant_daily_exec_limit 1000", "manifest set override_pubkey_hex null")),
    Command(path="manifest trust", target="governing:trust_key", group="run", about=Text("confia no código que uma chave assina", "trust the code that a key signs"), examples=("manifest trust 3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29",)),
    Command(path="manifest distrust", target="governing:distrust_key", group="run", about=Text("deixa de confiar no código que uma chave assinou, também no que já lá está", "trust no more the code that a key signed, what is there already included"), examples=("manifest distrust 3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29 --yes",)),
    Command(path="manifest grant", target="governing:grant_effect", group="run", about=Text("concede um efeito ao código da casa que o declare", "grant an effect to code of the house that declares it"), examples=("manifest grant http:api.example.org", "manifest grant 'http:*.example.org'")),
    Command(path="manifest revoke", target="governing:revoke_effect", group="run", about=Text("retira um efeito, também ao que já está a correr", "take an effect back, from what runs already too"), examples=("manifest revoke http:api.example.org",)),
    Command(path="genesis", target="governing:give_rows", group="node", about=Text("dá à casa as funções, políticas e kernels que vêm com o produto", "give the house the functions, policies and kernels that come with the product"), more=Text("`up` e `worker` fazem-no ao arrancar. Aqui compara-se tudo, e diz-se o que a casa mudou por si e por isso fica como está.", "`up` and `worker` do it when they start. Here everything is compared, and what the house changed itself, and therefore stays as it is, is told."), examples=("genesis",)),
)
# fmt: on
