"""The section of docs/measurements.md on ONNX files that are pruned, from benchmarks/results/onnx_*.json."""

import json
from typing import Any

from padless.report.markdown import markdown_table
from tools.pages import RESULTS

SECTION = """## ONNX files that are pruned

**How many.** {files} files: {networks} networks with random weights by PyTorch's two exporters at opsets {opsets}, and the
{published} trained files of the wheel rapidocr-onnxruntime. Each is read, compared with ONNX Runtime, cut to 60 % of its
MACs on unit:8, written back and compared again. A file passes where both differences are at most 1e-3 of the largest output
(the largest seen: {parity:.0e} and {written:.0e}), the official checker finds nothing, and inputs, outputs and all names
stay. Refused means: with a message, and nothing is written. `{files_command}`

{outcomes}

**Recovered without labels.** ResNet-18 on CIFAR-10, its batch norms folded into the convolutions, from {calibration}
training images; the wheel's text direction classifier from {lines} rendered lines, half of them upside down. Dense and
pruned file in ONNX Runtime on all {images:,} test images, and on {other_lines} other lines. `{recovery_command}`

{recovered}

**Beside onnxsim's structured pruning.** {peer_files} files, ours to as many MACs as the peer's file has left. The peer ranks
filters by their weights, as ours does here, has one ratio for all layers and no units. It leaves at most 60 % of the
MACs in {peer_reached} files; the columns behind are of the {all_reached} where both do. Misaligned counts channels of
convolutions that are no multiples of 8, the dense files' own included ({dense_misaligned}). The error (the median) is that
of the answers over their deviation from the mean, on other inputs (1: a constant would do as well). All but the trained
files have random weights, which have nothing to spare: the trained ones say more. `{peer_command}`

{peers}

{trained}
"""


def section() -> str:
    """The text with its tables."""
    files, recovery, peer = (json.loads((RESULTS / f"onnx_{name}.json").read_text()) for name in (
        "files", "recovery", "peer"
    ))  # fmt: skip
    rows = [row for row in files["rows"] if row["outcome"] != "not exported"]
    exported = [row for row in rows if row["exporter"] in ("dynamo", "script")]
    summary = peer["summary"]
    return SECTION.format(
        files=len(rows),
        networks=len({row["network"] for row in exported}),
        opsets=", ".join(map(str, sorted({row["opset"] for row in exported}))),
        published=len(rows) - len(exported),
        parity=max(row["parity"] for row in rows if "parity" in row),
        written=max(row["written_parity"] for row in rows if "parity" in row),
        files_command=files["command"],
        outcomes=_outcomes(rows),
        calibration=recovery["calibration"],
        lines=recovery["lines"],
        other_lines=recovery["other_lines"],
        images=max(row["images"] for row in recovery["rows"]),
        recovery_command="python benchmarks/onnx_recovery.py",
        recovered=_recovered(recovery["rows"]),
        peer_files=summary["files"],
        peer_reached=summary["onnxsim"]["reached"],
        all_reached=summary["reached by all"],
        dense_misaligned=summary["dense"]["misaligned"],
        peer_command=peer["command"],
        peers=_peers(summary, peer["versions"]["onnxsim"]),
        trained=_trained(peer["rows"]),
    )


def _outcomes(rows: list[dict[str, Any]]) -> str:
    names = {"dynamo": "torch.export", "script": "TorchScript"}
    exporters = list(dict.fromkeys(row["exporter"] for row in rows))
    return markdown_table(
        ["exporter", "files", "passed", "refused", "failed"],
        [[names.get(exporter, exporter), *(str(sum(
            row["exporter"] == exporter and outcome in ("", row["outcome"]) for row in rows
        )) for outcome in ("", "passed", "refused", "failed"))] for exporter in exporters],
    )  # fmt: skip


def _recovered(rows: list[dict[str, Any]]) -> str:
    return markdown_table(
        ["file", "exporter", "target", "budget", "seed", "dense %", "pruned %", "agreement %", "recovered by"],
        [[row["network"], row["exporter"], row["target"], row["budget"], str(row["seed"]), f"{row['dense']:.2f}",
          f"{row['pruned']:.2f}", f"{row['agreement']:.2f}", row["recovered_by"]] for row in rows],
    )  # fmt: skip


def _peers(summary: dict[str, Any], version: str) -> str:
    ways = {"onnxsim": f"onnxsim {version}", "ours": "padless, from weights"}
    columns = ("broken", "refused_by_checker", "reached", "misaligned")
    return markdown_table(
        ["", "broken", "refused by the checker", "at most 60 % of MACs", "misaligned", "MACs left, median %", "error"],
        [[name, *(str(summary[way][key]) for key in columns), f"{summary[way]['macs_percent']:.1f}",
          f"{summary[way]['error_of_deviation']:.3f}"] for way, name in ways.items()],
    )  # fmt: skip


def _trained(rows: list[dict[str, Any]]) -> str:
    """Of the trained files: MACs left and agreement with the dense file's first choice."""
    ways = ("onnxsim", "ours", "ours, recovered")

    def cell(row: dict[str, Any], way: str) -> str:
        part = row.get(way, {})
        if "agreement" not in part:
            return "broken" if "broken" in part else "out of reach"
        return f"{part['agreement']:.1f} ({100 * part['macs'] / row['dense']['macs']:.0f})"

    trained = [row for row in rows if any("agreement" in row.get(way, {}) for way in ways)]
    table = markdown_table(
        ["agreement % (MACs left %)", "exporter", "onnxsim", "padless, from weights", "padless, recovered"],
        [[row["network"], row["exporter"], *(cell(row, way) for way in ways)] for row in trained],
    )
    return f"The trained ones: how often the first choice is the dense file's.\n\n{table}"
