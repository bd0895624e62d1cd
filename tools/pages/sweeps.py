"""The section of docs/measurements.md on sweeps, from benchmarks/results/sweep_*.json."""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def section() -> str:
    """What sweeps cost beside their points, and whether they give what single runs give."""
    overhead = json.loads((RESULTS / "sweep_overhead.json").read_text())
    same = RESULTS / "sweep_same.json"
    compared = (
        f"\n{_same(json.loads(same.read_text())['rows'])} `python benchmarks/sweep.py same`\n" if same.exists() else ""
    )
    rows = "\n".join(
        f"| {row['runner']} | {row['points']:,} | {row['lost']} | {row['seconds']:.0f} | {row['job_seconds']:.0f} | "
        f"{row['overhead_ms_a_job']:.1f} | {row['second_run_seconds']:.1f} |"
        for row in overhead["rows"]
    )
    return f"""## Sweeps

1,000 points that plan DigitsResNet, on two processes of a machine with two cores that did other work, too. The overhead a
job is by how much the workers' time exceeds the jobs', once both have begun. `python benchmarks/sweep.py overhead`

| runner | points | lost | seconds | seconds in jobs | overhead a job, ms | second run, s |
|---|---|---|---|---|---|---|
{rows}
{compared}"""


def _same(found: dict[str, Any]) -> str:
    differing, compared = len(found["differ_from_commands_alone"]), found["compared_with_commands_alone"]
    return (
        f"{found['points']} points of ResNet-18 with recovery and an epoch on 1,024 images: the rows of both runners are "
        f"{'equal' if found['runners_equal'] else 'not equal'} to the last digit, and {compared - differing} of {compared} "
        "that were also done by `padless prune` and `padless finetune` alone are equal to those."
    )
