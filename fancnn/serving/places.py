"""Places for requests under way: so many together and of one client, and none that a slow body could hold.

Whose body is still being read gives way where there is no place for a newcomer: the oldest such request of the same
client, or of the client with the most. A client that sends slowly, on many connections, so takes places from itself.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fancnn.serving.admission import Refused


class Place:
    """What one request takes; made by `Places.take`.

    Args:
        client: Whose request it is.
        size: How many ordinary requests it counts as.

    Attributes:
        is_kept: Whether it stays taken when the request is answered: work for it goes on.
    """

    def __init__(self, client: str, size: int) -> None:
        self.client, self.size = client, size
        self._reading: asyncio.Timeout | None = None
        self._gave_way = False
        self.is_kept = False

    @property
    def is_reading(self) -> bool:
        """Whether its body is still being read."""
        return self._reading is not None

    @asynccontextmanager
    async def reading(self, seconds: float) -> AsyncIterator[None]:
        """Bound the time in which a body is read.

        Raises:
            Refused: 408 if it takes longer than `seconds`, 503 if the place was given to another before.
        """
        try:
            async with asyncio.timeout(seconds) as self._reading:
                yield
        except TimeoutError:
            if not self._gave_way:
                raise Refused(408, f"the body did not come within {seconds:g} s") from None
        finally:
            self._reading = None
        if self._gave_way:
            raise Refused(503, "busy: the body came so slowly that another request took its place")

    def give_way(self) -> None:
        """End the reading of the body."""
        assert self._reading is not None
        self._gave_way = True
        if not self._reading.expired():
            self._reading.reschedule(0)
        self._reading = None


class Places:
    """Places that are taken, at most so many together and of one client.

    Args:
        most: Together.
        most_of_client: Of one client.
    """

    def __init__(self, most: int, most_of_client: int) -> None:
        self.most, self.most_of_client = most, min(most_of_client, most)
        self._taken: dict[Place, None] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, client: str, size: int = 1) -> Place:
        """Take a place; `size` is of how many, but never more than one client may have.

        Raises:
            Refused: 503 if there is none, and none gives way.
        """
        size = min(size, self.most_of_client)
        while (sizes := self._sizes())[client] + size > self.most_of_client:
            self._make_room(client, f"busy: {sizes[client]} requests of this client are under way, and no more")
        while (sizes := self._sizes()).total() + size > self.most:
            crowd = Counter({place.client: sizes[place.client] for place in self._taken if place.is_reading})
            busiest = crowd.most_common(1)[0][0] if crowd else client
            self._make_room(busiest, f"busy: {len(self)} requests are under way, and no more")
        place = Place(client, size)
        self._taken[place] = None
        return place

    def free(self, place: Place) -> None:
        """Free a place, if it did not give way before."""
        self._taken.pop(place, None)

    def _sizes(self) -> Counter[str]:
        sizes: Counter[str] = Counter()
        for place in self._taken:
            sizes[place.client] += place.size
        return sizes

    def _make_room(self, client: str, otherwise: str) -> None:
        slow = next((place for place in self._taken if place.client == client and place.is_reading), None)
        if slow is None:
            raise Refused(503, f"{otherwise} are taken")
        slow.give_way()
        self.free(slow)
