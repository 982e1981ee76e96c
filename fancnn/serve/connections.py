"""Open connections, fewer than the files that this process may open: a crowd of idle ones keeps nobody out.

uvicorn's own bound (`limit_concurrency`) answers 503 to everybody while it is reached, and accepts and keeps what is
beyond. Here the connection that was idle longest is closed for a new one.
"""

import resource
from collections.abc import Collection
from typing import Protocol

from fancnn.errors import UserError
from fancnn.serve.hosts import client_of

BACKLOG = 256  # that wait to be accepted; all may be, before those that are closed for them are gone
OTHER_FILES = 64  # threads, packages, images
LEAST = 16


class Connection(Protocol):
    """What is known here of a connection."""

    @property
    def is_idle(self) -> bool:
        """Return whether nothing is lost where it is closed: no request is read or worked on."""

    def give_way(self) -> None:
        """Close it at once."""


class Connections:
    """Those that are open, at most so many, and half of them of one client.

    Args:
        most: Together.
        proxies: Addresses of reverse proxies, behind which are many clients: all of them may be theirs.
    """

    def __init__(self, most: int, proxies: Collection[str] = ()) -> None:
        self.most, self._proxies = most, frozenset(map(client_of, proxies))
        self._of: dict[str, dict[Connection, None]] = {}  # by client; the one idle for longest first

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))

    def add(self, connection: Connection, address: str) -> bool:
        """Take in a new connection, for which an idle one is closed where there are too many.

        Returns:
            Whether there is room for it.
        """
        client = client_of(address)
        own = self._of.get(client, {})
        if len(own) >= self.most // 2 and client not in self._proxies:
            if not self._close_one(client):
                return False
        elif len(self) >= self.most:
            busiest_first = sorted(self._of, key=lambda name: -len(self._of[name]))
            if not any(map(self._close_one, busiest_first)):
                return False
        self._of.setdefault(client, {})[connection] = None
        return True

    def move_last(self, connection: Connection, address: str) -> None:
        """Note that a connection was used: others are closed before it."""
        own = self._of.get(client_of(address), {})
        if connection in own:
            own[connection] = own.pop(connection)

    def remove(self, connection: Connection, address: str) -> None:
        """Forget a connection that is closed; one that is not known is none."""
        client = client_of(address)
        own = self._of.get(client, {})
        own.pop(connection, None)
        if not own:
            self._of.pop(client, None)

    def _close_one(self, client: str) -> bool:
        """Close the connection of a client that was idle longest; whether there was one."""
        idle = next((connection for connection in self._of[client] if connection.is_idle), None)
        if idle is None:
            return False
        del self._of[client][idle]
        idle.give_way()
        return True


def most_connections(wanted: int) -> int:
    """Return how many connections may be open, after the limit on open files was raised as far as is allowed.

    Raises:
        UserError: If the system allows too few files for any.
    """
    others = BACKLOG + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft != unlimited and soft < wanted + others:
        soft = wanted + others if hard == unlimited else min(wanted + others, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    bound = wanted if soft == unlimited else min(wanted, soft - others)
    if bound < LEAST:
        raise UserError(
            f"this process may open {soft} files: too few for {LEAST} connections and {others} others. "
            f"Allow more: `ulimit -n {LEAST + others}` or above"
        )
    return bound
