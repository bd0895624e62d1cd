"""The command that treats a folder's weights into another folder."""

import dataclasses
from importlib import import_module

import numpy as np
import pytest
import torch
from checks.coded import Coded
from checks.recovering import images
from models.networks import Small, shaken
from safetensors.torch import load_file, save_file

import padless
from padless import Choices, Plan, Summary, as_images, load_target
from padless.choose.budget import read_budgets
from padless.choose.planning import make_plan
from padless.cost.pricing import Pricing
from padless.errors import InfeasibleError
from padless.inputs import LoadedModel
from padless.report.report import Report
from padless.runs.dense import Dense
from padless.runs.seal import FILE as SEAL

ASK = ("models.networks:Small", "--input-shape", "1,3,16,16", "--target", "unit:8", "--budget", "macs=60%")

JOINT = (
    "models.networks:Small", "--input-shape", "1,3,16,16", "--target", "ethos-u55-128", "--budget", "cycles=80%",
    "--data", "x.npy", "--calibration", "64", "--recover", "mix", "--treat", "grid",
)  # fmt: skip


@pytest.fixture
def pruned(run, tmp_path):
    """A run with unlabelled images."""
    np.save(tmp_path / "x.npy", images(96).numpy())
    code, _, err = run("prune", *ASK, "--data", "x.npy", "--recover", "mix", "--out", "run")
    assert code == 0, err
    return tmp_path / "run"


def distinct(folder, layer):
    return max(len(row.unique()) for row in load_file(folder / "model.safetensors")[f"{layer}.weight"].flatten(1))


def test_a_treated_folder(run, pruned, tmp_path):
    before = {file.name: file.read_bytes() for file in pruned.iterdir()}
    code, printed, err = run("treat", "run", "grid:9", "--trust", "--calibration", "64")
    assert code == 0, err
    told = " ".join(printed.split())
    assert "Treated on 64 images in" in told and ": agreement " in told and "macs=60% allows" in told
    assert (
        "Weights are treated: grid:9 in 3 layers. Another cut undoes that; fine-tuning a folder treats them anew"
        in told
    )
    assert {file.name: file.read_bytes() for file in pruned.iterdir()} == before
    treated = tmp_path / "run-treated"
    summary = Summary.read(treated)
    done = summary.treating
    assert (
        done is not None
        and done.folder == "run"
        and done.data == "x.npy"
        and done.images == 64
        and done.towards == "dense"
    )
    assert done.layers == dict.fromkeys(["block.body.0", "block.body.3", "down"], "grid:9")
    assert summary.after["agreement"] == done.after and summary.widths == Summary.read(pruned).widths
    assert distinct(treated, "down") <= 9 < distinct(pruned, "down")
    assert "weights treated" in (treated / "report.html").read_text()
    report = Report.read(treated)
    assert report.stages[-1].percent == done.after and report.curves is None and Report.read(pruned).curves is not None
    # The file keeps the levels: as many codes a filter.
    code, _, err = run("export", "run-treated", "--trust", "--calibration", "16")
    assert code == 0, err
    # Training moves the weights off their levels; at its end they are brought there again.
    code, _, err = run("finetune", "run-treated", "--trust", "--epochs", "1", "--out", "kept")
    assert code == 0, err
    kept = Summary.read(tmp_path / "kept")
    assert kept.treating and kept.treating.layers == done.layers and kept.treating.towards == "itself"
    assert kept.treating.before == kept.finetuning.after and kept.treating.after == kept.after["agreement"]
    assert "Weights are treated: grid:9 in 3 layers." in kept.notes[-1] and distinct(tmp_path / "kept", "down") <= 9
    # A trained one may be treated.
    code, _, err = run("finetune", "run", "--trust", "--epochs", "1", "--out", "tuned")
    assert code == 0, err
    tuned = Summary.read(tmp_path / "tuned")
    assert tuned.treating is None and not any("treated" in note for note in tuned.notes)
    code, printed, err = run("treat", "tuned", "--layer", "down=2:4", "--trust", "--out", "again")
    assert code == 0, err
    both = Summary.read(tmp_path / "again")
    assert both.treating and both.treating.layers == {"down": "2:4"} and both.finetuning
    code, _, err = run("treat", "again", "--layer", "block.body.0=grid:9", "--trust", "--out", "twice")
    assert code == 0, err
    twice = Summary.read(tmp_path / "twice").treating
    assert twice and twice.layers == {"down": "2:4", "block.body.0": "grid:9"}  # both hold
    assert "2:4 in 1 layer, grid:9 in 1 layer" in Summary.read(tmp_path / "twice").notes[-1]
    assert both.treating.towards == "itself" and both.treating.held_out[0] == pytest.approx(0, abs=1e-9)
    assert "fine-tuned, weights treated" in (tmp_path / "again" / "report.html").read_text()


def test_what_does_not_fit_together(run, pruned, tmp_path):
    for arguments, message in (
        ((), "Give a treatment for all layers, such as grid:17, or --layer NAME=TREATMENT; not both."),
        (("grid:9", "--layer", "down=2:4"), "not both"),
        (("--layer", "down"), "--layer takes NAME=TREATMENT, such as layer1.0.conv1=grid:17; got 'down'."),
        (("--layer", "down=2:4", "--layer", "down=grid:9"), "--layer names down twice."),
        (("--layer", "dawn=2:4"), "There is no layer 'dawn' to treat. Did you mean down?"),
        (("int8",), "No layer would be treated: the first and the last one stay"),
        (("",), "Unknown treatment ''."),
        (("grid:8",), "A grid has an odd number of levels from 3 to 255; got 'grid:8'."),
        (("grid:9", "--out", "run"), "run stays as it is. Give --out another folder."),
        (("grid:9", "--calibration", "1000000001"), "calibration is from 2 to 1,000,000,000; got 1000000001."),
    ):
        code, _, err = run("treat", "run", "--trust", *arguments)
        assert code == 2 and message in " ".join(err.split()), err
        assert not (tmp_path / "run-treated").exists()
    file = pruned / "summary.json"
    file.write_text(file.read_text().replace(Summary.read(pruned).weights_digest, "0" * 16))
    code, _, err = run("treat", "run", "grid:9", "--trust")
    told = "The dense network towards which layers are treated does not have the weights that run was cut from. Give --weights."
    assert code == 2 and told in " ".join(err.split())


def test_what_a_folder_of_another_names_is_repeated(run, pruned, tmp_path):
    copied = tmp_path / "copied"
    copied.mkdir()
    for file in pruned.iterdir():
        if file.name != SEAL:
            (copied / file.name).write_bytes(file.read_bytes())
    code, _, err = run("treat", "copied", "grid:9")
    assert code == 2 and "Repeat what you know (--model models.networks:Small" in " ".join(err.split())
    assert run("treat", "copied", "grid:9", "--model", "models.networks:Small")[0] == 0


def test_a_run_without_images(run, tmp_path):
    assert run("prune", *ASK, "--out", "run")[0] == 0
    code, _, err = run("treat", "run", "grid:9", "--trust")
    assert code == 2 and "run was made without images. Give --data." in " ".join(err.split())


def test_treatments_chosen_with_widths(run, tmp_path):
    """`padless prune --treat`: planned, cut, recovered, treated, and priced with the treated weights."""
    np.save(tmp_path / "x.npy", images(96).numpy())
    ask = ("models.networks:Small", "--input-shape", "1,3,16,16", "--target", "ethos-u55-128", "--budget", "cycles=80%")
    data = ("--data", "x.npy", "--calibration", "64", "--recover", "mix")
    code, printed, err = run("prune", *ask, *data, "--treat", "grid", "--out", "joint")
    assert code == 0, err
    summary, plan = Summary.read(tmp_path / "joint"), Plan.read(tmp_path / "joint" / "plan.json")
    assert plan.treatments and summary.treat == ("grid",) and summary.solver.status == "optimal"
    assert summary.treating.layers == plan.treatments and summary.treating.folder == ""
    assert summary.budgets[0].met and summary.treating.after == summary.after["agreement"]
    for layer, treatment in plan.treatments.items():
        assert distinct(tmp_path / "joint", layer) <= int(treatment.split(":")[1])
    told = " ".join(printed.split())
    assert "Weights treated: grid:" in told and "on 64 images in" in told
    page = (tmp_path / "joint" / "report.html").read_text()
    layer, treatment = next(iter(plan.treatments.items()))
    assert f'<span class="nowrap">{treatment}</span>' in page
    assert {row.name: row.treatment for row in Report.read(tmp_path / "joint").layers}[layer] == treatment
    assert "no choice of widths and of the treatments that were offered keeps more within the budget" in page
    # The flashed file has the treated weights' cycles, and the run is one that others go on from.
    code, _, err = run("export", "joint", "--compile", "--trust", "--calibration", "16")
    assert code == 0, err
    code, _, err = run("prune", *ask, *data, "--treat", "grid", "--epochs", "1", "--out", "trained")
    assert code == 0, err
    trained = Summary.read(tmp_path / "trained").treating
    assert trained.towards == "itself" and trained.held_out[0] == pytest.approx(0, abs=1e-9)
    for more, message in (
        (("--allocate", "uniform"), "allocate 'uniform' chooses widths alone."),
        (
            ("--depth", "--steps", "2", "--treat", ""),
            "Branches are removed with widths in one step. Leave --steps or --depth",
        ),
    ):
        code, _, err = run("prune", *ask, *data, "--treat", "grid", *more, "--out", "no")
        assert code == 2 and message in " ".join(err.split()) and not (tmp_path / "no").exists()
    code, _, err = run("prune", *ASK, *data, "--treat", "grid", "--out", "no")
    told = "Treatments change what an oracle counts, and the budget is on macs. Ask for cycles"
    assert code == 2 and told in " ".join(err.split()) and "x.npy" not in err  # before anything is loaded
    code, _, err = run("prune", *ask, "--treat", "grid", "--out", "no")
    assert code == 2 and "Treatments are weighed on images. Give --data, or leave --treat out." in " ".join(err.split())


def test_weights_that_compress_worse_than_planned_are_chosen_again(run, tmp_path, monkeypatch):
    """A budget is the file's: what was planned with rounded weights is not the last word."""
    cuts: list = []

    def trace(model, *example):  # once a cut
        cuts.append(model)
        return honestly_traced(model, *example)

    def whole(self, model, *given):
        cost = honestly_priced(self, model, *given)
        if not cuts or model is not cuts[-1] or len(cuts) > 1:
            return cost
        return dataclasses.replace(cost, cycles=dataclasses.replace(cost.cycles, total=cost.cycles.total * 110 // 100))

    module = import_module("padless.runs.prune")
    honestly_traced, honestly_priced = module.trace, Pricing.whole
    monkeypatch.setattr(module, "trace", trace)
    monkeypatch.setattr(Pricing, "whole", whole)
    np.save(tmp_path / "x.npy", images(96).numpy())
    code, _, err = run("prune", *JOINT, "--out", "run")
    assert code == 0, err
    (budget,) = Summary.read(tmp_path / "run").budgets
    told = "Treated weights compress worse than planned. Choosing again, with 9.3 % to spare."
    assert " ".join(err.split()).count(told) == 1 and len(cuts) == 2
    assert Summary.read(tmp_path / "run").spare == pytest.approx(1 - 0.998 / 1.10, abs=1e-3)
    assert budget.met and budget.achieved <= budget.asked
    treated = Summary.read(tmp_path / "run").treating
    assert (treated.layers if treated else {}) == Plan.read(tmp_path / "run" / "plan.json").treatments


def test_where_nothing_is_within_the_budget_again_the_first_choice_stays(run, tmp_path, monkeypatch):
    """Its accuracies, too, though stages of the second were recovered before one was out of reach."""

    def staged(*given, **named):
        if done:
            recover = given[3]
            recover(done[0].model, done[0].plan)
            raise InfeasibleError("out of reach", "cycles")
        done.append(honestly(*given, **named))
        return done[0]

    done: list = []
    module = import_module("padless.runs.prune")
    honestly = module.prune_in_stages
    monkeypatch.setattr(module, "prune_in_stages", staged)
    monkeypatch.setattr("padless.runs.prune._Work.spare", lambda *_: 0.1)
    np.save(tmp_path / "x.npy", images(96).numpy())
    code, _, err = run("prune", *JOINT, "--out", "run")
    assert code == 0 and "Nothing is so far within the budget: the first choice stays." in " ".join(err.split())
    summary = Summary.read(tmp_path / "run")
    assert summary.treating.layers == Plan.read(tmp_path / "run" / "plan.json").treatments and summary.spare == 0.01
    assert summary.after["agreement"] == summary.treating.after
    assert err.count("Recovered (") == 2


def test_folders_that_python_saved(run, tmp_path):
    """Their treatments are those that the weights have; fine-tuning treats them anew."""
    torch.manual_seed(0)
    net, x = Small().eval(), images(96)
    np.save(tmp_path / "x.npy", x.numpy())
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    plan = dataclasses.replace(
        padless.plan(net, torch.zeros(1, 3, 16, 16), target="unit:8", budget="macs=60%"), treatments={"down": "grid:9"}
    )
    small = padless.prune(net, plan)
    about = {"factory": "models.networks:Small", "weights": "w.safetensors", "data": "x.npy"}
    padless.save("untreated", small, plan, **about)
    assert not Summary.read("untreated").treat
    padless.treat(small, [x], plan.treatments, model=net, plan=plan)
    padless.save("saved", small, plan, **about)
    assert Summary.read("saved").treat == ("grid:9",)
    for folder, layers in (("untreated", None), ("saved", {"down": "grid:9"})):
        code, _, err = run("finetune", folder, "--trust", "--epochs", "1", "--out", f"{folder}-tuned")
        assert code == 0, err
        treating = Summary.read(f"{folder}-tuned").treating
        assert (treating and treating.layers) == layers
    assert distinct(tmp_path / "saved-tuned", "down") <= 9
    # Treated twice it stays its own measure, and keeps what Python treated.
    for folder, layer in (("saved", "block.body.0"), ("saved-treated", "block.body.3")):
        code, _, err = run("treat", folder, "--layer", f"{layer}=grid:17", "--trust", "--calibration", "48")
        assert code == 0, err
    twice = Summary.read("saved-treated-treated").treating
    assert twice.layers == {"down": "grid:9", "block.body.0": "grid:17", "block.body.3": "grid:17"}
    assert twice.towards == "itself"
    # Treated by the command, a folder that was made without calibration is treated anew on as many images.
    code, _, err = run("treat", "untreated", "grid:9", "--trust", "--calibration", "48", "--out", "by-command")
    assert code == 0, err
    code, _, err = run("finetune", "by-command", "--trust", "--epochs", "1", "--out", "again")
    assert code == 0, err
    assert Summary.read("again").treating.images == 48


@pytest.mark.parametrize("order", [("optimal", "greedy"), ("greedy", "optimal")])
def test_jobs_that_share_a_network_share_no_treatments_that_one_cannot_choose(order):
    """Points of a sweep, of which some allocate otherwise."""
    torch.manual_seed(0)
    net, x = shaken(Small().eval()), images(96)
    loaded = LoadedModel(name="Small", model=net, input_shape=(1, 3, 16, 16), preprocess=None)
    shared, budgets = Dense(loaded, as_images(x, shape=(3, 16, 16))), read_budgets("cycles=60%")
    with Pricing(net, (torch.zeros(1, 3, 16, 16),), load_target("unit:4"), oracle=Coded()) as pricing:
        for allocate in order:
            choices = Choices(treat=("auto",), allocate=allocate)
            curves = shared.importance(pricing, choices, 64, budgets)
            assert bool(curves.treated) == (allocate == "optimal")
        curves = shared.importance(pricing, Choices(treat=("auto",)), 64, budgets)
        assert not make_plan(
            pricing, budgets, Choices(treat=("auto",), allocate="greedy", importance=curves)
        ).treatments
