"What the benchmarks measure with; needs nothing but NumPy and psutil, so that it runs in the peers' environment too."
import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import psutil


def peak_mb():
    "The most memory that this process has held so far (ru_maxrss would be the parent's)."
    return int(re.search(r'VmHWM:\s+(\d+)', Path('/proc/self/status').read_text())[1]) / 1024


def cpu_seconds():
    "Processor seconds of this process, its threads, and its children, whether they have ended or not."
    user, system, children_user, children_system, _ = os.times()
    total = user + system + children_user + children_system
    for child in psutil.Process().children(recursive=True):
        with_times = child.cpu_times()
        total += with_times.user + with_times.system
    return total


def children_mb():
    "The most memory that the living children of this process have held, added up."
    total = 0
    for child in psutil.Process().children(recursive=True):
        status = Path(f'/proc/{child.pid}/status').read_text()
        total += int(re.search(r'VmHWM:\s+(\d+)', status)[1]) / 1024
    return total


class Stopwatch:
    "Seconds, processor seconds and added memory of what is done inside `with stopwatch():`."

    def __init__(self):
        self.found = {}

    @contextmanager
    def __call__(self):
        held, spent, start = peak_mb(), cpu_seconds(), perf_counter()
        yield
        seconds, cpu = perf_counter() - start, cpu_seconds() - spent
        self.found = dict(seconds=seconds, cpu=cpu, mb=peak_mb() - held + children_mb())


def processor():
    "The processor in words, its cores, and the flags that decide how fast it multiplies."
    text = Path('/proc/cpuinfo').read_text()
    model = re.search(r'model name\s*:\s*(.+)', text)
    flags = set(re.search(r'flags\s*:\s*(.+)', text)[1].split())
    known = [flag for flag in ('avx2', 'avx512f', 'avx512_bf16', 'amx_bf16') if flag in flags]
    return dict(processor=model[1] if model else 'unknown', cores=len(os.sched_getaffinity(0)), flags=known,
                memory_gb=round(psutil.virtual_memory().total / 2**30, 1), python=sys.version.split()[0])
