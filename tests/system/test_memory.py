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


PLACES = """
import ctypes, threading
from fancnn.system.memory import share_one_arena
if {shared}:
    assert share_one_arena()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.fopen.restype = ctypes.c_void_p, ctypes.c_void_p
barrier = threading.Barrier(4)
def work():
    libc.malloc(1000)
    barrier.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
file = libc.fopen(b"/proc/self/fd/1", b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fflush(ctypes.c_void_p(file))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="settings of glibc")
def test_all_threads_take_memory_from_one_place() -> None:
    counts = []
    for shared in (False, True):
        command = [sys.executable, "-c", PLACES.format(shared=shared)]
        answer = subprocess.run(command, env=process_environment(), capture_output=True, text=True, check=True)
        counts.append(answer.stdout.count("<heap nr="))
    assert counts[0] > counts[1] == 1
