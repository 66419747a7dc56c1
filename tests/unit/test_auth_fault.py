"""What is said of an unforeseen exception: type and place, of everything in a group, and never its text."""

import asyncio
import re

import pytest

from auth.fault import fault
from auth.store.migrate import History, migrate

HERE = r"test_auth_fault\.py:\d+"


def raised(error: BaseException) -> BaseException:
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


def test_it_is_a_type_and_a_place():
    shown = fault(raised(KeyError("a secret")))
    assert re.fullmatch(rf"KeyError at {HERE}", shown)


def test_one_that_was_never_raised_has_no_place():
    assert fault(ValueError("a secret")) == "ValueError"


def test_one_from_a_library_tells_which_place_of_ours_it_came_through(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as caught:
        migrate(tmp_path / "file" / "gate.db", History.GATE, create=True, busy_s=0.1)
    shown = fault(caught.value)
    assert re.fullmatch(r"FileExistsError at pathlib\.py:\d+ by way of migrate\.py:\d+", shown)


async def test_a_group_tells_of_each_it_holds():
    async def fails(error: Exception) -> None:
        raise error

    async def inner() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fails(KeyError("a secret")))

    async def outer() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(inner())
            tasks.create_task(fails(ValueError("a secret")))

    with pytest.raises(ExceptionGroup) as caught:
        await outer()
    assert re.fullmatch(rf"ValueError at {HERE}; KeyError at {HERE}", fault(caught.value))


def test_the_same_many_times_is_told_once_and_very_many_are_counted():
    same = [KeyError(number) for number in range(9)]
    assert fault(raised(ExceptionGroup("a secret", same))) == "KeyError"
    kinds = [type(f"E{number}", (Exception,), {})() for number in range(6)]
    assert fault(ExceptionGroup("a secret", kinds)) == "E0; E1; E2; E3; 2 more"


def test_what_ends_a_program_is_told_too():
    group = BaseExceptionGroup("a secret", [raised(KeyboardInterrupt()), SystemExit(2)])
    assert re.fullmatch(rf"KeyboardInterrupt at {HERE}; SystemExit", fault(group))
