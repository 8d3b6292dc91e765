"""Cost of commands: time and memory of the steps in their logs, and sizes of folders."""

import os
import re
import subprocess
import sys
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

PERIOD_S = 0.1
DISK_PERIOD_S = 1
MEASURES = {"seconds": "sum", "CPU seconds": "sum", "peak memory (MB)": "max"}
STEP = re.compile(r"sub-01: (.+) (started|took)")


def watch(command, threads, name="start"):
    """Run a command and measure each step of its log.

    Returns
    -------
    pandas.DataFrame
        Seconds, CPU seconds and peak memory (MB) of each step, in order.
    """
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(threads),
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    marks, samples, lines = [(time.perf_counter(), name)], [], []
    with subprocess.Popen(list(map(str, command)), env=environment, **pipes) as process:
        ended = threading.Event()
        sampler = threading.Thread(target=sample, args=(process.pid, samples, ended))
        sampler.start()
        for line in process.stdout:
            lines.append(line)
            if match := STEP.search(line):
                marks.append((time.perf_counter(), match[1] if match[2] == "started" else "between"))
        marks.append((time.perf_counter(), None))
        ended.set()
        sampler.join()
    if process.returncode:
        sys.exit("".join(lines[-30:]))
    times, cpu, memory = np.array(samples).T
    rows = []
    for (begin, step), (end, _) in pairwise(marks):
        inside = (times >= begin) & (times <= end + PERIOD_S)
        cpu_seconds = np.diff(np.interp([begin, end], times, cpu))[0]
        rows.append((step, end - begin, cpu_seconds, memory[inside].max(initial=0)))
    table = pd.DataFrame(rows, columns=["step", *MEASURES])
    return table.groupby("step", sort=False).agg(MEASURES)


def sample(pid, samples, ended):
    """Record time, CPU seconds and memory (MB) of a process and its children until it ends."""
    used = {}
    while not ended.wait(PERIOD_S):
        memory = 0
        try:
            root = psutil.Process(pid)
            for process in (root, *root.children(recursive=True)):
                times = process.cpu_times()
                used[process.pid] = times.user + times.system
                memory += process.memory_full_info().pss / 1e6  # shared pages count once
        except psutil.Error:  # the process has ended
            continue
        samples.append((time.perf_counter(), sum(used.values()), memory))


def sample_disk(folder, sizes, ended):
    """Record the size of a folder (MB) until a run ends."""
    while not ended.wait(DISK_PERIOD_S):
        sizes.append(megabytes(folder))


def megabytes(folder):
    """Return the size (MB) of the files of a folder, which may be deleted meanwhile."""
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                size += Path(parent, name).lstat().st_size
    return size / 1e6
