"""The load that `benchmark parts=[serving]` puts on a server."""

import asyncio
from pathlib import Path

import pytest

from fancnn.benchmark.serving_load import load, serving_results
from fancnn.errors import UserError


@pytest.mark.slow
def test_a_load_run_states_start_latency_rate_and_memory(exported: Path, image_folder: Path, tmp_path: Path) -> None:
    contents = [path.read_bytes() for path in sorted(image_folder.rglob("*.png"))]
    found = {result.name: result.median for result in serving_results(exported, contents, tmp_path, 300)}
    assert found["16 clients, 300 requests: p50"] <= found["16 clients, 300 requests: p99"]
    assert {"start to first answer", "1 client, 100 requests: rate", "memory before", "memory after"} <= set(found)
    assert all(value > 0 for value in found.values())


def test_a_refused_request_ends_a_load_run(address: str) -> None:
    with pytest.raises(UserError, match="request 0 was answered 415: .*not an image"):
        asyncio.run(load(int(address.strip("/").rpartition(":")[2]), [b"no image"], 5, 1))
