"""Folders that are saved from Python with their factory: every command goes on from them."""

import json
from types import SimpleNamespace

import pytest
import torch
from models.networks import Conditioned, Small, small
from safetensors.torch import save_file

from padless import Preprocess, Summary, load_target, plan, prune, save
from padless.demo import DigitsResNet
from padless.errors import UsageError

X = torch.zeros(1, 3, 16, 16)


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    """A run from Python: the dense network's weights lie in a file."""
    folder = tmp_path_factory.mktemp("described")
    torch.manual_seed(3)
    dense = DigitsResNet().eval()
    save_file(dense.state_dict(), folder / "dense.safetensors")
    made = plan(dense, torch.zeros(1, 1, 16, 16), target="ethos-u55-64", budget="macs=50%")
    save(
        folder / "run",
        prune(dense, made),
        made,
        factory=DigitsResNet,
        weights=folder / "dense.safetensors",
        data="digits",
    )
    return SimpleNamespace(folder=folder / "run", plan=made)


def test_the_summary_says_what_the_plan_does(digits_run):
    summary, made = Summary.read(digits_run.folder), digits_run.plan
    assert (summary.model, summary.inputs, summary.data) == ("padless.demo:DigitsResNet", ("1,1,16,16",), "digits")
    assert summary.before["macs"] == made.before["macs"] and summary.after == {**made.after}
    assert summary.budgets[0].met and summary.budgets[0].achieved == made.after["macs"]
    assert summary.equivalence_max_error < 1e-10 and summary.importance_kept == made.importance_kept
    page = (digits_run.folder / "report.html").read_text()
    assert "padless.demo:DigitsResNet on ethos-u55-64" in page and "Why not less" in page
    assert "padless.save, from Python" in page


def test_the_commands_go_on_from_it(digits_run, run, tmp_path):
    code, _, err = run(
        "export", str(digits_run.folder), "--format", "onnx", "--format", "tflite", "--calibration", "16"
    )
    assert code == 0, err
    assert {"model.onnx", "model.tflite"} <= {path.name for path in digits_run.folder.iterdir()}
    assert set(Summary.read(digits_run.folder).files) == {"model.onnx", "model.tflite"}
    asked = ("--epochs", "2", "--batch", "350", "--lr", "0.1", "--distill", "0.1", "--out", "tuned")
    code, _, err = run("finetune", str(digits_run.folder), *asked)
    assert code == 0, err
    did = json.loads((tmp_path / "tuned" / "summary.json").read_text())["finetuning"]
    assert did["after"] > did["before"]


def test_names_of_the_zoo_boards_and_dictionaries(tmp_path):
    target = load_target("ethos-u55-64", system="Himax_WE2")
    chosen = plan(small(), X, target=target, budget="macs=60%", oracle="vela")
    save(
        tmp_path / "a",
        prune(small(), chosen),
        chosen,
        factory="models.networks:small",
        example=X,
        target=target,
        oracle="vela",
    )
    summary = Summary.read(tmp_path / "a")
    assert (summary.model, summary.oracle, summary.weights) == ("models.networks:small", "vela", None)
    assert summary.variant == {"system": "Himax_WE2"} and summary.after["clock_hz"] == 400_000_000
    more = {"class": torch.zeros(1, dtype=torch.int64), "mask": torch.ones(1, 1, 8, 8, dtype=torch.bool)}
    example = (torch.zeros(1, 3, 8, 8), more)
    model = Conditioned().eval()
    chosen = plan(model, *example, target="unit:8", budget="macs=60%")
    for given in ({"example": example}, {}):
        save(tmp_path / "b", prune(model, chosen), chosen, factory=Conditioned, **given)
        assert Summary.read(tmp_path / "b").inputs == ("1,3,8,8", "class=1:int64", "mask=1,1,8,8:bool")


def test_costs_are_asked_as_the_plan_asked_them(tmp_path):
    pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")
    for budget, oracles in (
        ("cycles=60%", {}),  # aligned by cost: avoidable is what the compiler charges for
        (("macs=60%", "peak_sram_bytes=200k"), {"oracle": "ceil", "memory_oracle": "vela"}),
    ):
        torch.manual_seed(0)  # as the factory is called
        model = small()
        chosen = plan(model, X, target="ethos-u55-64", budget=budget, **oracles)
        save(tmp_path / "run", prune(model, chosen), chosen, factory="models.networks:small", **oracles)
        summary = Summary.read(tmp_path / "run")
        assert summary.before == chosen.before and summary.after == chosen.after
        assert summary.memory_oracle == oracles.get("memory_oracle")


def test_what_no_command_can_be_told(pruned, tmp_path):
    model, chosen = pruned
    for given, message in (
        ({"preprocess": Preprocess()}, "preprocess is a Preprocess; expected str or NoneType. .*write what --preprocess"),
        ({"data": tmp_path}, "data is a PosixPath; expected str"), ({"oracle": len}, "oracle is a builtin_function_or_method; "),
        ({"memory_oracle": len}, "write what --memory-oracle takes, or leave it out"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            save(tmp_path / "run", model, chosen, factory=Small, **given)
    assert not (tmp_path / "run").exists()


def test_saving_disturbs_neither_the_model_nor_the_random_numbers(pruned, tmp_path):
    model, chosen = pruned
    model.train()
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    save(tmp_path / "run", model, chosen, factory=Small)
    assert model.training and torch.equal(torch.rand(1), expected)


def test_factories_that_no_command_finds(pruned, tmp_path):
    model, chosen = pruned
    for factory, name in ((lambda: Small(), "lambda"), (SimpleNamespace(), "namespace")):
        with pytest.raises(
            UsageError, match=f"A command cannot find the factory .*{name}.* again. Put it into a module"
        ):
            save(tmp_path / "run", model, chosen, factory=factory)
    with pytest.raises(UsageError, match="The plan was made on a network with structure"):
        save(tmp_path / "run", model, chosen, factory="models.networks:stays")
    with pytest.raises(
        UsageError, match="of a dictionary of tensors as the last argument; this example holds something else"
    ):
        save(tmp_path / "run", model, chosen, factory=Small, example=([X],))
    with pytest.raises(UsageError, match="--preprocess says"):
        save(tmp_path / "run", model, chosen, factory=Small, preprocess="grey")
    with pytest.raises(UsageError, match="data, target say what a factory's network is of. Give the factory, too"):
        save(tmp_path / "run", model, chosen, data="digits", target="unit:8")
    assert not (tmp_path / "run").exists()
