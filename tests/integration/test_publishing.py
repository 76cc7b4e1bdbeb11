"""Publishing functions: versions, pauses, names, and what the laws make of them."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from loglineos.base.errors import InvalidInput, NotFound, ProgramRefused, Refused
from loglineos.ledger.founding import enrol_actor, enrol_key, give_held_key
from loglineos.ledger.gestures import make_gesture
from loglineos.ledger.signature import signing_key
from loglineos.ledger.status import allowed_actions
from loglineos.runtime.checking import checker
from loglineos.runtime.definitions import find_function, learn_alias
from loglineos.runtime.genesis import write_rows
from loglineos.runtime.governing import change_manifest
from loglineos.runtime.header import read_source
from loglineos.runtime.laws import Laws
from loglineos.runtime.manifest import with_item
from loglineos.runtime.publishing import compare, push, set_pause
from tests.integration.lawful_house import DOUBLE, decided, of_type, publish

TRIPLE = DOUBLE.replace("2 * input", "3 * input")


@pytest.fixture
async def laws(house) -> Laws:
    await write_rows(house.writer, "casa")
    return Laws(house.writer, root=house.keyring.public("root"))


async def test_the_same_bytes_twice_append_nothing_and_other_bytes_the_next_version(house, laws):
    first = await push(house.writer, "casa", read_source(DOUBLE, filename="double.py"), who="ana")
    again = await push(house.writer, "casa", read_source(DOUBLE, filename="double.py"), who="rui")
    assert (first.is_new, again.is_new) == (True, False)
    assert again.record == first.record
    second = await publish(house, TRIPLE)
    assert (second.id, second.seq, second.who) == (first.record.id, 1, "ana")
    assert (await laws.function("casa", "double")).source == TRIPLE
    assert (await laws.function("casa", "double", seq=0)).source == DOUBLE


async def test_what_is_pushed_counts_for_the_very_next_question(house, laws):
    with pytest.raises(NotFound):
        await laws.function("casa", "double")
    for text in (DOUBLE, TRIPLE, DOUBLE):
        await publish(house, text)
        assert (await laws.function("casa", "double")).source == text


async def test_many_who_push_at_once_make_one_history(house, laws):
    texts = [DOUBLE.replace("2 * input", f"{n} * input") for n in range(6)]
    await asyncio.gather(*(publish(house, text) for text in texts))
    versions = [r for r in await of_type(house, "function") if r.name == "double"]
    assert [r.seq for r in versions] == list(range(6))
    assert {r.code for r in versions} == set(texts)


async def test_a_function_is_found_by_name_alias_learned_name_and_id(house, laws):
    record = await publish(house)
    for said in ("double", "Double It", "DUPLICAR", "double_it", str(record.id)):
        assert (await laws.function("casa", said)).id == record.id
        assert (await find_function(house.writer.pool, "casa", said)).id == record.id
    assert await laws.resolve("casa", "dobrar o número") is None
    taught = await learn_alias(
        house.writer, "casa", "Dobrar o número", function=record.id, who="ana"
    )
    again = await learn_alias(
        house.writer, "casa", "dobrar O numero", function=record.id, who="rui"
    )
    assert again == taught
    found = await laws.resolve("casa", "dobrar o numero")
    assert found is not None
    assert found.id == record.id
    with pytest.raises(NotFound):
        await laws.function("casa", uuid4())


async def test_a_learned_name_never_hides_a_declared_one(house, laws):
    double = await publish(house)
    other = await publish(house, "def main(input):\n    return 0\n", "zero.py")
    await learn_alias(house.writer, "casa", "duplicar", function=other.id, who="ana")
    assert (await laws.resolve("casa", "duplicar")).id == double.id
    await learn_alias(house.writer, "casa", "nada", function=other.id, who="ana")
    await learn_alias(house.writer, "casa", "nada", function=double.id, who="ana")
    assert (await laws.resolve("casa", "nada")).id == double.id


async def test_a_name_that_another_function_answers_to_is_refused(house, laws):
    await publish(house)
    for text, name in (
        ("def main(input):\n    return 0\n", "duplicar.py"),
        ("FUNCTION = {'aliases': ['double']}\ndef main(input):\n    return 0\n", "zero.py"),
    ):
        with pytest.raises(InvalidInput):
            await publish(house, text, name)
    assert {r.name for r in await of_type(house, "function")}.isdisjoint({"duplicar", "zero"})


async def test_a_kernel_is_not_what_a_consequence_means(house, laws):
    assert await laws.resolve("casa", "run_code") is None
    assert (await laws.function("casa", "run_code")).is_kernel


async def test_a_paused_function_does_not_run_until_it_is_resumed(house, laws):
    record = await publish(house)
    paused, is_new = await set_pause(
        house.writer, "casa", record.id, who="ana", is_paused=True, reason="férias"
    )
    assert (paused.seq, is_new, paused.metadata["paused"]["reason"]) == (1, True, "férias")
    assert not (await set_pause(
        house.writer, "casa", record.id, who="rui", is_paused=True, reason=None
    ))[1]  # fmt: skip
    with pytest.raises(Refused) as caught:
        await laws.function("casa", "double")
    assert caught.value.fields["law"] == "function.paused"
    assert (await laws.function("casa", "double", is_paused_fine=True)).paused["by"] == "ana"
    assert (await publish(house, TRIPLE)).metadata["paused"]["by"] == "ana"
    resumed, _ = await set_pause(
        house.writer, "casa", record.id, who="ana", is_paused=False, reason=None
    )
    assert (resumed.seq, resumed.code) == (3, TRIPLE)
    assert (await laws.function("casa", "double")).paused is None


async def test_whoever_has_a_key_that_the_node_keeps_publishes_and_pauses_lawfully(house, laws):
    await enrol_actor(house.writer, "casa", "ana", role="manager")
    await give_held_key(house.writer, "casa", "ana", role="manager")
    record = await publish(house)
    await set_pause(house.writer, "casa", record.id, who="ana", is_paused=True, reason=None)
    await set_pause(house.writer, "casa", record.id, who="ana", is_paused=False, reason=None)
    assert (await laws.function("casa", "double")).seq == 2


async def test_versions_are_compared_by_what_they_declare_and_line_by_line(house, laws):
    before = await publish(house)
    after = await publish(house, TRIPLE.replace('"duplicar"]', '"triplicar"]'))
    difference = compare(before, after)
    assert list(difference.declared) == ["metadata.aliases"]
    assert "-    return 2 * input" in difference.lines
    assert "+    return 3 * input" in difference.lines
    assert compare(before, before).lines == ()


async def test_code_that_the_engine_lacks_is_refused_before_it_is_published(house):
    async with decided(house) as laws:
        check = checker(laws, laws._runners, "casa")
        before = await house.writer.log_size("casa")
        for text in (
            "def main(input):\n    yield 1\n",
            "class A(dict):\n    pass\ndef main(input):\n    return 1\n",
            "def other(input):\n    return 1\n",
            "import socket\ndef main(input):\n    return 1\n",
            "import ctx\ndef main(input):\n    return ctx.emit({})\n",
        ):
            source = read_source(text, filename="f.py")
            with pytest.raises(ProgramRefused):
                await push(house.writer, "casa", source, who="ana", check=check)
        bad = read_source("function main(input) { return 1 + }", filename="f.js")
        with pytest.raises(ProgramRefused):
            await push(house.writer, "casa", bad, who="ana", check=check)
        assert await house.writer.log_size("casa") == before
        for text, name in (
            (DOUBLE, "double.py"),
            ("import ctx\ndef main(input):\n    ctx.log('x')\n    return 1\n", "told.py"),
            ("import sdk\ndef main(input):\n    return 1\n", "kit.py"),
            ("export default function main(input) { return input * 2 }", "js.js"),
        ):
            source = read_source(text, filename=name)
            done = await push(house.writer, "casa", source, who="ana", check=check)
            assert done.is_new


async def test_the_engine_itself_tells_the_lines_that_cannot_work(house):
    async with decided(house) as laws:
        check = checker(laws, laws._runners, "casa")
        text = "import ctx\nFUNCTION = {'effects': ['ledger.read']}\ndef main(input):\n    return ctx.ledger.get()\n"
        with pytest.raises(ProgramRefused) as caught:
            await check(read_source(text, filename="f.py"))
        assert caught.value.fields["findings"].en.startswith("line 4: types: No argument provided")
        (warned,) = await check(
            read_source("def main(input) -> int:\n    return 'one'\n", filename="f.py")
        )
        assert warned.en.startswith("line 2: types:")


async def test_a_house_checks_against_its_own_prelude_and_lets_cpython_have_more(house):
    async with decided(house) as laws:
        check = checker(laws, laws._runners, "casa")
        own = read_source("def rate(n):\n    return n * 2\n", filename="casa.py", kind="prelude")
        await push(house.writer, "casa", own, who="ana")
        text = "import casa\ndef main(input):\n    return casa.rate(1)\n"
        assert await check(read_source(text, filename="f.py")) == []
        with pytest.raises(ProgramRefused) as caught:
            await check(read_source(text.replace("rate(1)", "rate()"), filename="f.py"))
        assert caught.value.fields["findings"].en.startswith("line 3: types:")
        text = "FUNCTION = {'runtime': 'full'}\nimport heapq\ndef main(input):\n    return heapq.nsmallest(1, input)\n"
        assert await check(read_source(text, filename="f.py")) == []
        with pytest.raises(ProgramRefused):
            await check(read_source(text.replace("'full'", "'pure'"), filename="f.py"))


async def test_a_function_comes_with_the_modules_that_it_imports_and_no_others(house, laws):
    await publish(house, "import sdk\n\ndef main(input):\n    return 1\n", "kit.py")
    await publish(house)
    kit, double = await laws.function("casa", "kit"), await laws.function("casa", "double")
    program = await laws.program("casa", kit, frozen_at="2026-03-02T12:00:00.000000Z", seed="s")
    assert [module.name for module in program.prelude] == ["sdk"]
    assert (program.source, program.entry, program.seed) == (kit.source, "main", "s")
    assert (await laws.program("casa", double, frozen_at=None)).prelude == ()


async def test_pausing_does_not_make_untrusted_code_lawful(house, laws):
    key = signing_key(b"\x0c" * 32)
    await enrol_key(
        house.writer, "casa", key.public.hex(), actor="rui", role="manager", custody="own"
    )
    source = read_source(DOUBLE, filename="double.py")
    record = (await push(house.writer, "casa", source, who="rui", key=key)).record
    assert record.public_key == key.public.hex()
    with pytest.raises(Refused) as caught:
        await set_pause(house.writer, "casa", record.id, who="ana", is_paused=True, reason=None)
    assert caught.value.fields["law"] == "code.untrusted_author"
    assert (await house.writer.latest("casa", record.id)).seq == 0
    with pytest.raises(Refused):
        await laws.function("casa", "double")
    await change_manifest(
        house.writer,
        "casa",
        lambda manifest: with_item(manifest, "trusted_keys", key.public.hex(), is_in=True),
        who="ana",
    )
    assert (await laws.function("casa", "double")).record.who == "rui"


@pytest.mark.parametrize("gesture", ["annotate", "revert"])
async def test_a_gesture_is_no_way_to_sign_or_stop_code(house, laws, gesture):
    record = await publish(house)
    assert allowed_actions(record, "en") == []
    with pytest.raises(Refused):
        await make_gesture(
            house.writer,
            gesture,
            record.id,
            tenant="casa",
            by="ana",
            note="hm" if gesture == "annotate" else None,
        )
    assert (await laws.function("casa", "double")).seq == 0
