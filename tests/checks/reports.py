"""A run's report, for tests of what holds and shows it."""

from dataclasses import replace

from checks.summaries import summary
from padless.report.report import (
    Curves,
    FamilyPoint,
    GroupReport,
    LayerReport,
    Limit,
    MomentReport,
    Report,
    Side,
    StageScore,
    Tensor,
)
from padless.report.summary import Achieved, Summary

MET = Achieved(
    budget="cycles=60%", asked=700.0, table_total=600.0, compiler_total=650.0, next_milder=None, achieved=640, met=True
)


def side(c_in: int, c_out: int, **changes) -> Side:
    macs = 64 * c_in * c_out
    plain = Side(
        c_in=c_in, c_out=c_out, macs=macs, padded_macs=macs + 640, floor_macs=macs + 64, weight_bytes=9 * c_in * c_out,
        activation_bytes=64 * c_out, time=macs // 8, npu_time=macs // 10, bound="memory", utilisation_percent=25.0,
    )  # fmt: skip
    return replace(plain, **changes)


def layer(name: str, dense: Side, pruned: Side) -> LayerReport:
    return LayerReport(name=name, kind="conv", kernel=(3, 3), units=(8, 8), dense=dense, pruned=pruned)


def group(id: str, kept: int, **changes) -> GroupReport:
    """A group of 32 channels: one step is 100 cycles, and its worth falls twice as fast at the second step down."""
    plain = GroupReport(
        id=id, width=32, kept=kept, zeros=0, writers=(id,), readers=("head",), levels=(8, 16, 24, 32),
        costs=(100.0, 200.0, 300.0, 400.0), worths=(-7.0, -3.0, -1.0, 0.0), shares=(0.1, 0.5, 0.9, 1.0),
        least=f"8 of 32 channels at least, as outputs of layer {id}, in units of 8",
    )  # fmt: skip
    return replace(plain, **changes)


def report(**changes) -> Report:
    """A stem that was cut to 16, a body that stayed, and a head whose outputs must stay."""
    plain = Report(
        version="0", unit="cycles", memory_waits=True, between=10, peak_macs_per_cycle=256,
        bandwidths={"SRAM": 8.0, "flash": 1.0}, flash_bytes=(40_000, 20_000),
        layers=(
            layer("stem", side(3, 32), side(3, 16)), layer("body", side(32, 32), side(16, 32)),
            layer("head", side(32, 10), side(32, 10)),
        ),
        groups=(
            group("stem", 16), group("body", 32),
            GroupReport(id="head", width=10, kept=10, zeros=0, writers=("head",), readers=(), levels=(10,),
                        pinned="output of the network"),
        ),
        curves=Curves(
            quantity="cycles", spent=600.0, dense=1000.0, price=0.01, kept=0.8,
            family=(FamilyPoint(share=0.3, kept=0.5, widths=(8, 16, 10)), FamilyPoint(share=0.7, kept=0.9, widths=(24, 32, 10))),
        ),
        memory=(
            MomentReport(where="stem", bytes=3000, dense_bytes=5000,
                         tensors=(Tensor(maker="stem", bytes=2000), Tensor(maker="input", bytes=1000))),
            MomentReport(where="head", bytes=500, dense_bytes=500, tensors=(Tensor(maker="body", bytes=500),)),
        ),
        limits=(Limit(of="sram", bytes=4096, source="--limit"),),
        test_images=200, measured="accuracy",
        stages=(
            StageScore(stage="dense", percent=95.0, low=91.0, high=97.3), StageScore(stage="cut", percent=60.0, low=53.1, high=66.5),
            StageScore(stage="recovered", percent=90.0, low=85.1, high=93.4), StageScore(stage="final", percent=94.5, low=90.4, high=96.9),
        ),
    )  # fmt: skip
    return replace(plain, **changes)


def deep(count: int) -> Report:
    """So many layers and groups."""
    layers = tuple(layer(f"blocks.{i}.conv", side(32, 32), side(32 - 8 * (i % 2), 24)) for i in range(count))
    groups = tuple(group(f"blocks.{i}.conv", 24) for i in range(count))
    memory = tuple(
        MomentReport(
            where=f"blocks.{i}.conv", bytes=900 + i, dense_bytes=1200 + i, tensors=(Tensor(maker="x", bytes=900 + i),)
        )
        for i in range(count)
    )
    return report(layers=layers, groups=groups, memory=memory, curves=replace(report().curves, family=()))


def run_of(**changes) -> Summary:
    """A summary that goes with `report()`."""
    cycles = {"clock_hz": 500_000_000, "oracle": "ours"}
    before = {**summary().before, **cycles, "cycles": 1100, "milliseconds": 0.0022, "accuracy": 95.0}
    after = {**summary().after, **cycles, "cycles": 640, "milliseconds": 0.00128, "accuracy": 94.5}
    return summary(**{"budgets": (MET,), "before": before, "after": after, "data": "digits", "epochs": 1, **changes})
