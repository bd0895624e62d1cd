"""How long commands take to start, beside `python -c "import typer"`, which is what any command line in Python costs.

    python benchmarks/startup.py

Each program is run in turn, five times, after one run that compiles all modules; the median counts. `--help` and `targets`
import no torch; a command's own help, such as that of `prune`, does, so `import torch` stands beside it. Ratios are of
processor seconds, which other work on the machine disturbs least.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from statistics import median

RUNS = 5
PROGRAMS = {
    'python -c "import typer"': ("-c", "import typer"),
    "padless --help": ("-m", "padless", "--help"),
    "padless targets": ("-m", "padless", "targets"),
    "padless targets ethos-u55-256": ("-m", "padless", "targets", "ethos-u55-256"),
    'python -c "import torch"': ("-c", "import torch"),
    "padless prune --help": ("-m", "padless", "prune", "--help"),
    "padless inspect --help": ("-m", "padless", "inspect", "--help"),
}


def timed(arguments: tuple[str, ...], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds of the processor, and those that passed."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment)
    passed, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, passed


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder, "OMP_NUM_THREADS": "1"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in PROGRAMS}
        for turn in range(RUNS + 1):
            for name, arguments in PROGRAMS.items():
                taken = timed(arguments, environment)
                if turn:
                    runs[name].append(taken)
    base = median(processor for processor, _ in next(iter(runs.values())))
    print(f"{'':32}{'processor, s':>14}{'passed, s':>12}{'ratio':>8}")
    for name, times in runs.items():
        processor, passed = (median(column) for column in zip(*times, strict=True))
        print(f"{name:32}{processor:14.2f}{passed:12.2f}{processor / base:8.1f}")


if __name__ == "__main__":
    main()
