"""Who gives way to whom, where there are more requests than places."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from fancnn.serve.places import Place, Places
from fancnn.serve.request_validation import Refused


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


async def sending(places: Places, client: str, size: int = 1) -> tuple[Place, "asyncio.Task[str]"]:
    """A request whose body does not come: its place, and what it is told in the end."""
    place, begun = places.take(client, size), asyncio.Event()

    async def read() -> str:
        try:
            async with place.reading(600):
                begun.set()
                await asyncio.Event().wait()
        except Refused as refusal:
            return f"{refusal.status} {refusal}"
        return ""

    task = asyncio.create_task(read())
    await begun.wait()
    return place, task


def test_the_oldest_slow_body_of_the_client_with_the_most_gives_way() -> None:
    async def story() -> None:
        places = Places(4, 4)
        honest, _ = await sending(places, "honest")
        slow = [await sending(places, "slow") for _ in range(3)]
        worked_on = places.take("other")
        assert await slow[0][1] == "503 busy: the body came so slowly that another request took its place"
        assert [honest.is_reading, slow[1][0].is_reading, slow[2][0].is_reading] == [True] * 3
        places.free(slow[0][0])  # its request ends
        assert len(places) == 4
        places.free(worked_on)
        assert len(places) == 3

    run(story)


def test_one_client_takes_places_from_itself_alone() -> None:
    async def story() -> None:
        places = Places(8, 2)
        _, honest = await sending(places, "honest")
        slow = [await sending(places, "slow") for _ in range(6)]
        assert (await asyncio.gather(*(task for _, task in slow[:4]))) == [
            "503 busy: the body came so slowly that another request took its place"
        ] * 4
        assert (len(places), honest.done()) == (3, False)

    run(story)


@pytest.mark.parametrize(
    ("most", "of_client", "text"), [(2, 2, "busy: 2 requests are"), (9, 2, "busy: 2 requests of this client are")]
)
def test_whose_body_is_there_gives_way_to_nobody(most: int, of_client: int, text: str) -> None:
    async def story() -> None:
        places = Places(most, of_client)
        place = places.take("one")
        async with place.reading(600):
            pass
        places.take("one")
        with pytest.raises(Refused, match=text) as found:
            places.take("one" if most > 2 else "two")
        assert found.value.status == 503

    run(story)


def test_a_large_request_takes_many_places_and_is_never_larger_than_all() -> None:
    async def story() -> None:
        places = Places(10, 8)
        large = places.take("one", 8)
        with pytest.raises(Refused, match="busy: 1 requests of this client"):
            places.take("one")
        two = places.take("two", 2)
        with pytest.raises(Refused, match="busy"):
            places.take("three")
        places.free(two)
        one, _ = await sending(places, "two")
        with pytest.raises(Refused, match="busy"):
            places.take("three", 8)
        places.free(large)
        assert one.is_reading, "none gives way where that is not enough"
        small = Places(2, 2)
        small.take("one", 8)
        with pytest.raises(Refused, match="busy"):
            small.take("two")

    run(story)


def test_a_body_that_is_there_after_its_place_was_taken_is_refused() -> None:
    async def story() -> None:
        places = Places(1, 1)
        place = places.take("one")
        with pytest.raises(Refused, match="another request took its place"):
            async with place.reading(600):
                places.take("two")

    run(story)


def test_a_body_whose_time_is_over_gives_way_before_it_knows() -> None:
    async def story() -> None:
        places, taken, loop = Places(1, 1), [], asyncio.get_running_loop()
        place = places.take("one")
        loop.call_soon(loop.call_soon, lambda: taken.append(places.take("two")))  # in the round behind the next
        with pytest.raises(Refused, match="another request took its place"):
            async with place.reading(0):
                await asyncio.Event().wait()
        assert [place.client for place in taken] == ["two"]

    run(story)


def test_a_body_has_its_time() -> None:
    async def story() -> None:
        place = Places(1, 1).take("one")
        with pytest.raises(Refused, match="did not come within 0.01 s") as found:
            async with place.reading(0.01):
                await asyncio.Event().wait()
        assert (found.value.status, place.is_reading) == (408, False)

    run(story)
