"""What a reader of a run's numbers must know."""

import json

import torch
from checks.summaries import summary
from models.networks import small

from padless import Summary, inspect
from padless.cost.cycles import Cycles, Source
from padless.report.notes import notes

X = torch.zeros(1, 3, 16, 16)


class Whole:
    """An oracle that prices whole networks at one number."""

    def __init__(self, total: int, note: str = "", whole: bool = True) -> None:
        self.total, self.note, self.whole = total, note, whole

    def __call__(self, shapes):
        return [1] * len(shapes)

    def network(self, graph, model):
        source = Source(oracle="ours")
        return Cycles(source=source, total=self.total, npu=self.total, note=self.note) if self.whole else None


def cost(**settings):
    return inspect(small(), X, target="unit:8", oracle=Whole(**settings))


def test_nothing_is_said_of_what_is_whole_and_lower():
    assert notes(cost(total=100), cost(total=90)) == ()
    assert notes(inspect(small(), X, target="unit:8"), inspect(small(), X, target="unit:8")) == ()


def test_each_quantity_that_rose():
    assert notes(cost(total=1000), cost(total=1200)) == (
        "Higher after the cut than before: cycles, 1,200 instead of 1,000 (+20.0 %). A budget on cycles would forbid that.",
        "Higher after the cut than before: NPU cycles, 1,200 instead of 1,000 (+20.0 %). A budget on npu_cycles would forbid "
        "that.",
    )


def test_a_note_of_both_is_told_once_and_others_with_their_network():
    assert notes(cost(total=9, note="Two left."), cost(total=9, note="Two left.")) == ("Two left.",)
    assert notes(cost(total=9, note="Two left."), cost(total=9, note="One left.")) == (
        "Dense network: Two left.", "Pruned network: One left.",
    )  # fmt: skip
    alone = "Cycles are a sum over layers. Whole prices layers alone; what lies between them is not counted. Between the layers"
    dense, pruned, apart = notes(cost(total=9, note="Two left."), cost(total=0, whole=False))
    assert dense == "Dense network: Two left." and pruned.startswith(f"Pruned network: {alone} stand ")
    assert apart == "One network's cycles are of the whole, the other's a sum over layers: they cannot be compared."


def test_a_summary_from_before_there_were_notes_reads(tmp_path):
    data = json.loads(summary().to_json())
    del data["notes"]
    (tmp_path / "summary.json").write_text(json.dumps(data))
    assert Summary.read(tmp_path).notes == ()
