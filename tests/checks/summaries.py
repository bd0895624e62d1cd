"""A run's summary, for tests of what holds it."""

from dataclasses import replace

from padless.report.summary import Summary, Widths


def summary(**changes) -> Summary:
    """The summary of a small run, with some of its fields changed."""
    totals = dict.fromkeys(
        ["macs", "padded_macs", "wasted_macs", "weight_bytes", "padded_weight_bytes", "activation_bytes",
         "padded_activation_bytes"], 8,
    ) | dict.fromkeys(
        ["wasted_macs_percent", "avoidable_macs_percent", "wasted_weight_percent", "wasted_activation_percent"], 0.5
    ) | dict.fromkeys(
        ["cycles", "npu_cycles", "nanoseconds", "milliseconds", "clock_hz", "peak_sram_bytes", "peak_activation_bytes", "flash_bytes", "energy_pj", "oracle"]
    )  # fmt: skip
    plain = Summary(
        model="mine", target="unit:8", variant={}, inputs=("1,3,16,16",), weights=None, weights_digest="0" * 16,
        oracle=None, budgets=(), solver=None, ratio=None, importance_kept=0.5, importance="l1", allocate="optimal",
        align="unit", repair="down", freeze=(), floor=0.0, steps=1, recovery=None, calibration=512, regularize=0,
        epochs=0, data=None, preprocess=None, before=totals, after={**totals, "accuracy": 90.0},
        widths={"stem": Widths(c_in=(3, 3), c_out=(16, 8))}, equivalence_max_error=1e-16, versions={"padless": "0"},
        seed=0, command="padless prune mine",
    )  # fmt: skip
    return replace(plain, **changes)
