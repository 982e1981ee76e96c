"""Which connection is closed for a new one, and how many there may be."""

import resource
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fancnn.errors import UserError
from fancnn.serve.connections import Connections, most_connections


@dataclass(eq=False)
class Fake:
    """A connection that counts how often it was closed."""

    is_idle: bool = True
    closed: int = 0

    def give_way(self) -> None:
        self.closed += 1


@given(st.lists(st.tuples(st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"]), st.booleans())), st.integers(2, 6))
def test_there_are_never_more_than_most_and_half_of_one_client(arrivals: list[tuple[str, bool]], most: int) -> None:
    connections = Connections(most)
    inside: list[tuple[str, Fake]] = []
    for address, is_idle in arrivals:
        arrived = Fake(is_idle)
        if connections.add(arrived, address):
            inside.append((address, arrived))
        inside = [(name, one) for name, one in inside if not one.closed]
        assert len(connections) == len(inside) <= most
        assert all(sum(name == own for name, _ in inside) <= most // 2 for own, _ in inside)
        assert not arrived.closed
    assert not any(one.closed for _, one in inside)
    for address, one in inside:
        connections.remove(one, address)
    assert len(connections) == 0


def test_the_one_idle_longest_is_closed_of_whoever_has_the_most() -> None:
    connections = Connections(6)
    many, other = [Fake() for _ in range(3)], [Fake() for _ in range(2)]
    for one in many:
        assert connections.add(one, "2001:db8::1")
    for one in other:
        assert connections.add(one, "10.0.0.1")
    assert connections.add(Fake(is_idle=False), "10.0.0.2")
    connections.move_last(many[0], "2001:db8::ffff")  # the same network is the same client
    assert connections.add(Fake(), "10.0.0.3")
    assert [one.closed for one in (*many, *other)] == [0, 1, 0, 0, 0]


def test_behind_a_proxy_are_many_clients() -> None:
    direct, behind = Connections(4), Connections(4, ["127.0.0.1"])
    assert [direct.add(Fake(is_idle=False), "127.0.0.1") for _ in range(5)] == [True] * 2 + [False] * 3
    assert [behind.add(Fake(is_idle=False), "127.0.0.1") for _ in range(5)] == [True] * 4 + [False]


@pytest.mark.parametrize(
    ("soft", "hard", "found", "raised"),
    [
        (1024, 4096, 1000, 1320),
        (1024, 1024, 704, 1024),
        (4096, 4096, 1000, 4096),
        (1024, resource.RLIM_INFINITY, 1000, 1320),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 1000, resource.RLIM_INFINITY),
    ],
)
def test_there_are_fewer_connections_than_files(
    soft: int, hard: int, found: int, raised: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = [(soft, hard)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limit[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limit.append(new))
    assert most_connections(1000) == found
    assert limit[-1] == (raised, hard)


def test_too_few_files_are_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    with pytest.raises(UserError, match="may open 256 files: too few .* `ulimit -n 336` or above"):
        most_connections(1000)
