"""Places for requests under way: so many together and of one client, and none that a slow body could hold.

Whose body is still being read gives way where there is no place for a newcomer: the oldest such request of the same
client, or of the client with the most. A client that sends slowly, on many connections, so takes places from itself.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fancnn.serve.request_validation import Refused


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
        """Return whether its body is still being read."""
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
        own = [place for place in self._taken if place.client == client]
        self._make_room(size, self.most_of_client, own, " of this client")
        self._make_room(size, self.most, list(self._taken), "")
        place = Place(client, size)
        self._taken[place] = None
        return place

    def free(self, place: Place) -> None:
        """Free a place, if it did not give way before."""
        self._taken.pop(place, None)

    def _make_room(self, size: int, most: int, among: Sequence[Place], whose: str) -> None:
        """Let as many give way as it takes for `size` more, or none where that is not enough."""
        lacking = sum(place.size for place in among) + size - most
        slow = [place for place in among if place.is_reading]
        if sum(place.size for place in slow) < lacking:
            raise Refused(503, f"busy: {len(among)} requests{whose} are under way, and no more are taken")
        sizes: Counter[str] = Counter()
        for place in among:
            sizes[place.client] += place.size
        while lacking > 0:
            place = max(slow, key=lambda one: sizes[one.client])  # the oldest of the client with the most
            slow.remove(place)
            sizes[place.client] -= place.size
            lacking -= place.size
            place.give_way()
            self.free(place)
