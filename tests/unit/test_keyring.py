"""Keys on disk: only their owner reads them, a passphrase seals them, no word shows a secret."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest
from rich.console import Console

from loglineos.base.errors import Misconfigured, NotFound
from loglineos.ledger.keyring import USES, KeyFile, KeyRing
from loglineos.ledger.signature import signing_key

SECRETS = ("11" * 32, "s3cr3t")


def ring(folder: Path, **more) -> KeyRing:
    return KeyRing(folder / "keys", **{"environment": {}, **more})


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_every_key_is_made_once_for_its_owner_alone(tmp_path: Path):
    keys = ring(tmp_path)
    assert keys.create() == list(USES)
    first = {use: keys.public(use) for use in USES}
    assert keys.create() == []
    assert ring(tmp_path).create() == []
    assert {use: ring(tmp_path).public(use) for use in USES} == first
    assert len(set(first.values())) == len(USES)
    assert mode(tmp_path / "keys") == 0o700
    assert {mode(path) for path in (tmp_path / "keys").iterdir()} == {0o600}
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == sorted(
        f"{use}.key" for use in USES
    )


def test_held_keys_are_kept_apart_and_for_the_owner_alone(tmp_path: Path):
    keys = ring(tmp_path)
    names = ["ana", "Ana", "ANA", "á", "a" * 600, "..", ".", "../root", "a/b", "\ud800", "é" * 300]
    made = {name: keys.make_held("casa", name).public for name in names}
    assert len(set(made.values())) == len(names)
    for name in names:
        again = ring(tmp_path).held("casa", name)
        assert again is not None
        assert again.public == made[name]
    files = [path for path in (tmp_path / "keys").rglob("*") if path.is_file()]
    assert len({str(path).lower() for path in files}) == len(names)
    assert {mode(path) for path in files} == {0o600}
    folders = [path for path in (tmp_path / "keys").rglob("*") if path.is_dir()]
    assert {mode(path) for path in folders} == {0o700}


def test_no_tenant_name_leads_out_of_the_folder_of_held_keys(tmp_path: Path):
    keys = ring(tmp_path)
    keys.create()
    for tenant in ("..", ".", "../..", "", "casa/.."):
        assert keys.held(tenant, "root") is None
        assert keys.held(tenant, "../root") is None


def test_a_held_key_is_replaced_and_dropped(tmp_path: Path):
    keys = ring(tmp_path)
    first, second = keys.make_held("casa", "ana"), keys.make_held("casa", "ana")
    assert first.public != second.public
    assert keys.held("casa", "ana") == second
    keys.drop_held("casa", "ana")
    keys.drop_held("casa", "ana")
    assert keys.held("casa", "ana") is None


def test_a_replaced_key_is_put_aside(tmp_path: Path):
    keys = ring(tmp_path)
    keys.create()
    old = keys.public("node")
    new = keys.replace("node").public.hex()
    assert (keys.public("node"), keys.former("node")) == (new, [old])
    assert keys.former("root") == []


@pytest.mark.parametrize("exposed", [0o640, 0o604, 0o666, 0o601])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, exposed: int):
    keys = ring(tmp_path)
    keys.create()
    (tmp_path / "keys" / "node.key").chmod(exposed)
    with pytest.raises(Misconfigured, match="0600"):
        keys.key("node")
    assert keys.key("root")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format":"x","use":"node","public":""}', '{"format":"loglineos/key/v1"}'],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str):
    keys = ring(tmp_path)
    keys.create()
    (tmp_path / "keys" / "node.key").write_text(text)
    with pytest.raises(Misconfigured, match=r"node\.key"):
        keys.key("node")


def test_a_key_that_is_not_there_is_not_found(tmp_path: Path):
    with pytest.raises(NotFound, match=r"node\.key"):
        ring(tmp_path).key("node")


def test_a_passphrase_seals_and_alone_opens(tmp_path: Path):
    keys = ring(tmp_path, passphrase="s3cr3t")
    held = keys.make_held("casa", "ana")
    (path,) = (tmp_path / "keys").rglob("*.key")
    written = json.loads(path.read_text())
    assert "secret" not in written
    assert held.secret[:32].hex() not in path.read_text()
    assert ring(tmp_path, passphrase="s3cr3t").held("casa", "ana") == held
    with pytest.raises(Misconfigured, match="does not open"):
        ring(tmp_path, passphrase="outra").held("casa", "ana")
    with pytest.raises(Misconfigured, match="LOGLINE_PASSPHRASE"):
        ring(tmp_path).held("casa", "ana")
    for broken in ({"salt": "zz"}, {"salt": "00"}, {"box": "zz"}, {"box": ""}):
        path.write_text(json.dumps({**written, "sealed": {**written["sealed"], **broken}}))
        with pytest.raises(Misconfigured):
            ring(tmp_path, passphrase="s3cr3t").held("casa", "ana")


def test_the_root_key_may_come_by_the_environment(tmp_path: Path):
    keys = ring(tmp_path, environment={"LOGLINE_ROOT_KEY": SECRETS[0]})
    assert "root" not in keys.create()
    assert not (tmp_path / "keys" / "root.key").exists()
    assert keys.key("root") == signing_key(bytes.fromhex(SECRETS[0]))
    assert keys.public("root") == keys.key("root").public.hex()


@pytest.mark.parametrize("value", ["11" * 31, SECRETS[0] + "zz", "s3cr3t"])
def test_a_wrong_root_key_is_named_and_not_shown(tmp_path: Path, value: str):
    with pytest.raises(Misconfigured, match="LOGLINE_ROOT_KEY") as refusal:
        ring(tmp_path, environment={"LOGLINE_ROOT_KEY": value}).key("root")
    told = "".join(traceback.format_exception(refusal.value)) + str(refusal.value.as_problem("pt"))
    assert value not in told


def test_no_repr_shows_a_secret(tmp_path: Path):
    keys = ring(tmp_path, passphrase=None, environment={"LOGLINE_ROOT_KEY": SECRETS[0]})
    file = KeyFile(format="loglineos/key/v1", use="node", public="aa", secret=SECRETS[0])
    key = keys.key("root")
    console = Console(record=True, width=500, quiet=True)
    with console.capture() as capture:
        console.print(keys, file, key)
    for told in (
        repr(keys),
        str(keys),
        repr(file),
        str(file),
        repr(key),
        str([key]),
        capture.get(),
    ):
        assert SECRETS[0] not in told
