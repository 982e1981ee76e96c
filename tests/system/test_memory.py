import subprocess
import sys

import pytest
from samples import process_environment

PROBE = """
import resource, torch
from fancnn.system.memory import keep_freed_memory
if {kept}:
    assert keep_freed_memory()
def faults(megabytes):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(megabytes * 1024 * 1024 // 4).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
for _ in range(4):
    faults(200)  # the most that is ever needed
print(sum(faults(64) for _ in range(4)))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="settings of glibc")
def test_a_large_block_is_mapped_once_and_then_reused() -> None:
    faults = []
    for kept in (False, True):
        command = [sys.executable, "-c", PROBE.format(kept=kept)]
        answer = subprocess.run(command, env=process_environment(), capture_output=True, text=True, check=True)
        faults.append(int(answer.stdout))
    assert faults[0] > 4 * 64 // 2, "the kernel maps it anew each time, in pages of 2 MB at the most"
    assert faults[1] < faults[0] / 10
