"""What users hand over: wrong types, things that are used up, oracles of their own, variants of a target."""

import re
from dataclasses import asdict
from typing import get_type_hints

import pytest
import torch
from torch import nn

import padless
from padless.choose.choices import Changes
from padless.cost import Answer, Cycles, Oracle, Source
from padless.errors import NotWholeError

X = torch.zeros(1, 3, 12, 12)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.Conv2d(32, 8, 3)).eval()


def batches(count=2):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(8, 3, 12, 12, generator=generator) for _ in range(count)]


def test_every_choice_can_be_given_by_name():
    assert set(get_type_hints(Changes)) == set(padless.Choices.__dataclass_fields__)


def test_images_that_can_be_read_once_score_as_a_list_does():
    model = network()
    plans = [
        padless.plan(model, X, target="unit:8", budget="macs=50%", images=images)
        for images in (batches(), (batch for batch in batches()))
    ]
    assert plans[0].importance == plans[1].importance == "reconstruction"
    assert plans[0].importance_kept == plans[1].importance_kept
    assert plans[0].keep == plans[1].keep


def test_choices_whole_and_by_name_are_the_same():
    model = network()
    whole = padless.plan(
        model, X, target="unit:8", budget="macs=50%", choices=padless.Choices(allocate="uniform", seed=3)
    )
    named = padless.plan(model, X, target="unit:8", budget="macs=50%", allocate="uniform", seed=3)
    assert (whole.keep, whole.allocate, whole.seed) == (named.keep, "uniform", 3)
    mixed = padless.plan(
        model, X, target="unit:8", budget="macs=50%", choices=padless.Choices(allocate="uniform"), seed=3
    )
    assert mixed == named


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"allocate": "optimum"}, "allocate cannot be 'optimum'. Did you mean optimal"),
     ({"align": "units"}, "align cannot be 'units'. Did you mean unit"),
     ({"repair": "left"}, "repair cannot be 'left'. Known: down, up"),
     ({"floor": 1.5}, "The importance floor is a share from 0 to 1; got 1.5"),
     ({"spare": 1.0}, "What is spare of a budget is a share from 0 to below 1; got 1"),
     ({"time_limit": 0.0}, "time_limit is seconds above 0; got 0"),
     ({"seed": -1}, "A seed is a whole number from 0 up; got -1"),
     ({"freeze": "0"}, re.escape("freeze is the text '0'; expected several names. Write ['0']."))],
)  # fmt: skip
def test_choices_that_are_none(changes, message):
    with pytest.raises(padless.UsageError, match=message):
        padless.Choices(**changes)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"quantity": "cycle", "share": 0.5}, "Unknown budget 'cycle'. Did you mean cycles"),
     ({"quantity": "macs", "share": 50}, "The budget macs=5000% is not a share between 0 and 100 %: a share of 0.5 is half"),
     ({"quantity": "macs"}, "A budget on macs is a share or an absolute number: give one of them"),
     ({"quantity": "macs", "share": 0.5, "absolute": 3}, "A budget on macs is a share or an absolute number"),
     ({"quantity": "macs", "absolute": -3}, "The budget macs=-3 is none: every network costs more than 0"),
     ({"quantity": "latency", "absolute": 0}, "The budget latency=0ms is none: every network costs more than 0")],
)  # fmt: skip
def test_budgets_that_are_none(fields, message):
    with pytest.raises(padless.UsageError, match=message):
        padless.Budget(**fields)


def wrong_uses():
    model, plan = network(), None
    loaded = padless.load_model("padless.demo:DigitsResNet")
    images = padless.load_images("digits", shape=(1, 32, 32))
    plan = padless.plan(model, X, target="unit:8", budget="macs=50%")
    ask = {"target": "unit:8", "budget": "macs=50%"}
    return {
        "a loaded model": (lambda: padless.plan(loaded, X, **ask), "model is a LoadedModel; expected Module. Give its .model"),
        "no model": (lambda: padless.trace("resnet18", X), "model is a str; expected Module"),
        "no tensor": (lambda: padless.plan(model, [1, 3, 12, 12], **ask), "An example input is a list; expected Tensor"),
        "a set of images": (
            lambda: padless.plan(model, X, images=images, **ask),
            r"images is a Images; expected batches .* Give images.calibration\(512, seed=0\)",
        ),
        "one tensor": (lambda: padless.plan(model, X, images=X, **ask), r"images is one tensor; .* Write \[images\]"),
        "labelled images": (
            lambda: padless.plan(model, X, images=[(X, 1)], **ask), "A batch of images is a tuple; expected Tensor"
        ),
        "no images": (lambda: padless.plan(model, X, images=5, **ask), "images is a int; expected Iterable"),
        "a path of a plan": (lambda: padless.prune(model, "plan.json"), r"plan is a str; expected Plan. Read it with padless"),
        "no target": (lambda: padless.plan(model, X, target=16, budget="macs=50%"), "target is a int; expected Target or str"),
        "no budget": (lambda: padless.plan(model, X, target="unit:8", budget=0.5), "budget is a float; expected Budget or str"),
        "budgets with a number": (
            lambda: padless.plan(model, X, target="unit:8", budget=["macs=50%", 3]), "budget is a int; expected Budget or str"
        ),
        "no choices": (lambda: padless.plan(model, X, choices="greedy", **ask), "choices is a str; expected Choices"),
        "no oracle": (lambda: padless.plan(model, X, oracle=5, **ask), "oracle is a int; expected a name such as 'ceil'"),
        "batches to test on": (lambda: padless.evaluate(model, batches()), "images is a list; expected Images"),
        "batches to train on": (lambda: padless.finetune(model, batches()), "images is a list; expected Images"),
        "a path to recover by": (lambda: padless.recover(model, model, "plan.json", batches()), "plan is a str; expected Plan"),
        "a set to recover on": (lambda: padless.recover(padless.prune(model, plan), model, plan, images), "Give images.calibration"),
        "a path to save": (lambda: padless.save("out", model, "plan.json"), "plan is a str; expected Plan"),
        "a shape to export": (
            lambda: padless.export(model, (1, 3, 12, 12), "m.onnx"), "An example input is a tuple; expected Tensor"
        ),
    }  # fmt: skip


@pytest.mark.parametrize("use", list(wrong_uses()))
def test_a_wrong_type_gets_one_clear_message(use, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, message = wrong_uses()[use]
    with pytest.raises(padless.UsageError, match=message):
        call()
    assert not list(tmp_path.iterdir())


# --- oracles of one's own -----------------------------------------------------------------------------------------------


def test_a_plain_function_is_an_oracle():
    def board(shapes):
        return [100 + shape.macs / 8 for shape in shapes]

    cost = padless.inspect(network(), X, target="unit:8", oracle=board)
    layers = padless.trace(network(), X).layers
    assert cost.totals()["cycles"] == sum(round(100 + layer.macs / 8) for layer in layers)
    assert cost.cycles.oracle == "board, a sum over layers"
    plan = padless.plan(network(), X, target="unit:8", budget="cycles=60%", oracle=board)
    assert plan.after["cycles"] <= 0.6 * plan.before["cycles"]


class Whole:
    """Someone else's oracle, no class of ours: a network costs what its layers do, and 1,000 more."""

    def __init__(self, refuses: bool = False):
        self.refuses, self.networks, self.closed = refuses, 0, False

    def __call__(self, shapes):
        for shape in shapes:
            yield Answer(source=Source(oracle="whole"), total=shape.macs, npu=shape.macs)

    def network(self, graph, model):
        self.networks += 1
        if self.refuses:
            raise NotWholeError("It has a layer that this compiler does not know.")
        assert sum(p.numel() for p in model.parameters()) > 0
        cycles = 1000 + sum(layer.macs for layer in graph.layers)
        return Cycles(source=Source(oracle="whole"), total=cycles, npu=cycles)

    def close(self):
        self.closed = True


def test_someone_elses_oracle_prices_whole_networks():
    oracle, model = Whole(), network()
    plan = padless.plan(model, X, target="unit:8", budget="cycles=60%", oracle=oracle)
    macs = sum(layer.macs for layer in padless.trace(model, X).layers)
    small = padless.prune(model, plan)
    assert plan.before["cycles"] == 1000 + macs
    assert plan.after["cycles"] == 1000 + sum(layer.macs for layer in padless.trace(small, X).layers)
    assert plan.outcomes[0].table_total == plan.after["cycles"] - 1000
    assert plan.after["cycles"] <= 0.6 * plan.before["cycles"]
    assert plan.after["oracle"] == "whole"
    assert oracle.networks > 1
    assert not oracle.closed  # whoever opened it closes it


def test_an_oracle_that_cannot_price_the_whole_says_why():
    cost = padless.inspect(network(), X, target="unit:8", oracle=Whole(refuses=True))
    assert cost.cycles.note == "It has a layer that this compiler does not know."
    assert not cost.cycles.whole


@pytest.mark.parametrize(
    ("answers", "message"),
    [(lambda shapes: [1], "The oracle gave 1 answers to 3 layers; expected one for each, in order"),
     (lambda shapes: [1] * 4, "The oracle gave more than 3 answers to 3 layers"),
     (lambda shapes: ["many"] * 3, "The oracle answered 'many' for layer 0; expected a number of cycles or a padless")],
)  # fmt: skip
def test_answers_that_do_not_fit(answers, message):
    with pytest.raises(padless.UsageError, match=message):
        padless.inspect(network(), X, target="unit:8", oracle=answers)


class OneAtATime(Oracle):
    batch_of_one = True
    systems = True

    def __call__(self, shapes):
        return [Answer(source=Source(oracle="one"), total=1, npu=1) for _ in shapes]


def test_an_oracle_says_what_it_can_do():
    with pytest.raises(
        padless.UsageError, match="Cycles are counted for one input at a time; the example has a batch of 2"
    ):
        padless.inspect(network(), torch.zeros(2, 3, 12, 12), target="unit:8", oracle=OneAtATime())
    only_sram = padless.load_target("ethos-u55-256", memory_mode="Sram_Only")
    assert padless.inspect(network(), X, target=only_sram, oracle=OneAtATime()).totals()["cycles"] == 3
    for oracle, name in (
        ("ceil", "ceil"),
        (lambda shapes: [1 for _ in shapes], "function"),
        ("echo {cin} {cout}", "echo"),
    ):
        with pytest.raises(
            padless.UsageError, match=rf"The oracle {name}.* knows no systems .* Sram_Only was asked for"
        ):
            padless.inspect(network(), X, target=only_sram, oracle=oracle)


# --- variants of a target -----------------------------------------------------------------------------------------------


def test_a_variant_of_a_target():
    plain = padless.load_target("ethos-u55-256")
    deep = padless.load_target("ethos-u55-256", system="Ethos_U55_Deep_Embedded", memory_mode="Sram_Only")
    assert deep == plain.at(system="Ethos_U55_Deep_Embedded", memory_mode="Sram_Only")
    assert (deep.vela.system_config, deep.vela.memory_mode) == ("Ethos_U55_Deep_Embedded", "Sram_Only")
    assert (deep.system.flash_bytes_per_cycle, plain.system.flash_bytes_per_cycle) == (0.5, 1.0)
    assert deep.variant == {"system": "Ethos_U55_Deep_Embedded", "memory_mode": "Sram_Only"}
    assert padless.load_target(deep.id, **deep.variant) == deep
    board = padless.load_target("ethos-u55-64", system="Himax_WE2")
    assert (board.system.clock_hz, board.system.flash_bytes_per_cycle, board.vela.memory_mode) == (
        4e8,
        0.125,
        "Shared_Sram",
    )
    assert (plain.variant, plain.vela.memory_mode, deep.id) == ({}, "Shared_Sram", plain.id)
    both = plain.at("int16w8", memory_mode="Sram_Only")
    assert (both.precision, both.id, both.variant) == ("int16w8", "ethos-u55-256@int16w8", {"memory_mode": "Sram_Only"})


def test_an_oracle_that_knows_no_systems_refuses_a_vela_configuration(tmp_path):
    (tmp_path / "board.ini").write_text("[System_Config.Board]\n[Memory_Mode.Shared_Sram]\n")
    target = padless.load_target("ethos-u55-256", vela_config=tmp_path / "board.ini")
    with pytest.raises(
        padless.UsageError, match="knows no systems and memory modes; a Vela configuration was asked for"
    ):
        padless.inspect(network(), X, target=target, oracle="ceil")


@pytest.mark.parametrize(
    ("target", "variant", "message"),
    [("unit:16", {"memory_mode": "Sram_Only"}, "unit:16 has no oracle that a system configuration or a memory mode is for"),
     ("unit:16", {"system": "fast"}, "unit:16 has no oracle that a system configuration or a memory mode is for"),
     ("google-tpu-v1", {"memory_mode": "fast"}, "google-tpu-v1 has no oracle that a system"),
     ("google-tpu-v1", {"system": "tpv"}, "google-tpu-v1 has no system 'tpv'. Did you mean tpu")],
)  # fmt: skip
def test_variants_that_there_are_not(target, variant, message):
    with pytest.raises(padless.UsageError, match=message):
        padless.load_target(target, **variant)


def test_choices_are_frozen():
    with pytest.raises(AttributeError):
        padless.Choices().seed = 3
    assert asdict(padless.Choices())["allocate"] == "optimal"
