"""Fine-tuning: what a step is, going on after a stop, many processes as one, the command."""

import copy
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from padless import Checkpoints, Recipe, evaluate, finetune, load_images, make_fabric, plan, prune, trace
from padless.cli import main
from padless.errors import UsageError
from padless.train import fabric as fabric_module
from padless.train.batches import Batches, crops
from padless.train.fabric import GlobalBatchNorm
from padless.train.loop import averaged
from padless.train.sparsity import GroupSparsity
from padless.train.teacher import Lesson


@pytest.fixture(scope="module")
def digits():
    return load_images("digits", shape=(1, 16, 16))


@pytest.fixture(scope="module")
def few(digits):
    return dataclasses.replace(digits, train=digits.train[:200], train_labels=digits.train_labels[:200])


def network(outputs: int = 10, width: int = 8) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 16, 3, 2, 1), nn.BatchNorm2d(16),
        nn.ReLU(), nn.Flatten(), nn.Dropout(0.1), nn.Linear(256, outputs),
    )  # fmt: skip


def seeded(seed: int = 0, **options) -> nn.Module:
    torch.manual_seed(seed)
    return network(**options)


def same(one: nn.Module, other: nn.Module) -> bool:
    states = one.state_dict(), other.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


# --- what a run does -----------------------------------------------------------------------------------------------


def test_it_learns_and_repeats_itself(digits):
    def train(seed):
        model = seeded()
        history = finetune(model, digits, Recipe(epochs=2, peak_lr=0.1, seed=seed))
        assert not model.training
        return history.losses, evaluate(model, digits)

    losses, accuracy = train(1)
    assert losses[1] < losses[0] and accuracy > 60
    assert train(1) == (losses, accuracy)
    assert train(2)[0] != losses


def test_the_callers_random_numbers_are_left_alone(few):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    finetune_state = torch.random.get_rng_state()
    model = network()
    torch.random.set_rng_state(finetune_state)
    finetune(model, few, Recipe(epochs=1))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("steps", range(1, 11))
def test_any_number_of_steps(digits, steps):
    some = dataclasses.replace(
        digits, train=digits.train[: 8 * steps + 7], train_labels=digits.train_labels[: 8 * steps + 7]
    )
    history = finetune(network(), some, Recipe(epochs=2, batch=8))
    assert len(history.step_losses) == 2 * steps and len(history.losses) == 2


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_the_schedule_goes_up_to_the_peak_and_down_to_nothing(few, schedule, monkeypatch):
    rates = []
    step = torch.optim.SGD.step
    monkeypatch.setattr(
        torch.optim.SGD,
        "step",
        lambda self, *a, **k: (rates.append(self.param_groups[0]["lr"]), step(self, *a, **k))[1],
    )
    finetune(seeded(), few, Recipe(epochs=4, batch=8, peak_lr=0.3, schedule=schedule))
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(0.3, rel=0.01) and rates[0] < 0.05 and rates[-1] < 0.003
    assert rates == sorted(rates[: top + 1]) + sorted(rates[top + 1 :], reverse=True)
    assert (top / len(rates) > 0.15) == (schedule == "one-cycle")


def test_each_part_of_the_recipe_changes_the_run(few):
    def end(**options):
        model = seeded()
        finetune(model, few, Recipe(epochs=1, batch=20, **options), teacher=teacher, plan=cut)
        return model

    teacher = seeded(1)
    cut = plan(teacher, torch.zeros(1, 1, 16, 16), target="unit:2", budget="macs=90%", floor=0.0)
    ends = [end(**{name: value}) for name, value in {
        "distill": 0.0, "temperature": 2.0, "label_smoothing": 0.2, "mixup": 0.4, "ema": 0.9, "clip": 0.01, "batch": 10,
        "schedule": "cosine", "weight_decay": 0.1, "seed": 1,
    }.items() if name != "batch"]  # fmt: skip
    plain = end()
    assert not any(same(plain, one) for one in ends)
    assert same(plain, end())
    close = end(channels_last=True)
    assert all(p.is_contiguous() for p in close.parameters())
    torch.testing.assert_close(close.state_dict(), plain.state_dict(), rtol=1e-3, atol=1e-4)


def test_a_teacher_is_followed_and_left_alone(digits):
    teacher = seeded()
    finetune(teacher, digits, Recipe(epochs=4, peak_lr=0.1, distill=0.0))
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    teacher.train()
    scrambled = dataclasses.replace(digits, train_labels=digits.train_labels[torch.randperm(len(digits.train_labels))])
    student = seeded(1)
    finetune(student, scrambled, Recipe(epochs=6, peak_lr=0.1, distill=1.0), teacher=teacher)
    assert evaluate(student, digits) > 80  # no label was right
    assert teacher.training and all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())


def test_features_pull_maps_towards_the_teachers(few):
    teacher = seeded()
    finetune(teacher, few, Recipe(epochs=3, peak_lr=0.1))
    made = plan(teacher, torch.zeros(1, 1, 16, 16), target="unit:2", budget="macs=60%")
    x = few.normalised(few.test)

    def distance(features):
        small = prune(teacher, made)
        recipe = Recipe(epochs=4, batch=20, features=features)
        lesson = Lesson(small, recipe, teacher, made) if features else None
        finetune(small, few, recipe, teacher=teacher, plan=made)
        if lesson:
            assert set(lesson.taps) == {"0", "3"}
        kept = torch.tensor(made.keep["0"])
        with torch.no_grad():
            return float((small[0](x) - teacher[0](x)[:, kept]).square().mean())

    assert distance(10.0) < 0.7 * distance(0.0)


def test_sparsity_sums_the_norms_of_channels(few):
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Conv2d(2, 3, 1, bias=False))
    graph = trace(model, torch.zeros(1, 1, 4, 4))
    first, last = model[0], model[2]
    expected = sum(
        (first.weight[c].square().sum() + first.bias[c] ** 2 + last.weight[:, c].square().sum()).sqrt()
        for c in range(2)
    )
    torch.testing.assert_close(GroupSparsity(graph, model)(), expected, rtol=1e-5, atol=1e-6)


def test_sparsity_empties_channels(few):
    def total(weight):
        model = seeded()
        graph = trace(model, torch.zeros(1, 1, 16, 16))
        finetune(model, few, Recipe(epochs=4, batch=20, peak_lr=0.05, sparsity=weight, clip=0.0), graph=graph)
        return GroupSparsity(graph, model)().item()

    assert total(0.05) < 0.8 * total(0.0)
    with pytest.raises(UsageError, match="takes the model's graph"):
        finetune(seeded(), few, Recipe(sparsity=1.0))


def test_features_need_the_teacher_and_the_plan(few):
    with pytest.raises(UsageError, match="takes the teacher, and the plan"):
        finetune(network(), few, Recipe(features=1.0), teacher=network())


@pytest.mark.parametrize(("field", "value", "told"), [
    ("epochs", 0, "epochs is at least 1"), ("batch", 0, "batch is at least 1"), ("seed", -1, "seed is at least 0"),
    ("peak_lr", 0.0, "peak_lr is above 0"), ("temperature", float("nan"), "temperature is above 0"),
    ("clip", -1.0, "clip is at least 0"), ("distill", 1.5, "distill is from 0 to 1"), ("ema", -0.1, "ema is from 0 to 1"),
    ("schedule", "linear", "one-cycle or cosine; got 'linear'"), ("precision", "fp8", "auto or float32 or bfloat16"),
])  # fmt: skip
def test_recipes_out_of_range(field, value, told):
    with pytest.raises(UsageError, match=told):
        Recipe(**{field: value})


# --- batches -------------------------------------------------------------------------------------------------------


def test_augmentation_crops_and_mirrors():
    image = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8).expand(200, 1, 8, 8)
    torch.manual_seed(0)
    shift = torch.randint(0, 3, (2, 200))
    plain = crops(image, shift, torch.zeros(200, dtype=torch.bool), [1, 1])
    mirrored = crops(image, shift, torch.rand(200) < 0.5, [1, 1])
    assert plain.shape == mirrored.shape == (200, 1, 8, 8) and plain.dtype == torch.uint8
    rises = plain[:, 0, 4, 4].int() - plain[:, 0, 4, 3].int()
    assert (rises == 1).all()
    assert 60 < int((mirrored[:, 0, 4, 4].int() - mirrored[:, 0, 4, 3].int() == -1).sum()) < 140
    assert len({tuple(x.flatten().tolist()) for x in plain}) == 9  # three offsets each way


@pytest.mark.parametrize("mixup", [0.0, 0.3])
def test_the_parts_of_a_batch_are_the_whole(few, mixup):
    recipe = Recipe(batch=32, mixup=mixup)
    whole = Batches(few, recipe)
    parts = [Batches(few, recipe, rank, 4) for rank in range(4)]
    for step in (0, 3, 7):
        for field in ("x", "y", "y_mixed_in"):
            torch.testing.assert_close(
                torch.cat([getattr(p[step], field) for p in parts]), getattr(whole[step], field), rtol=0, atol=0
            )
        assert len({p[step].kept for p in parts}) == 1 and (whole[step].kept < 1) == bool(mixup)


def test_an_epoch_has_every_image_once(few):
    counted = dataclasses.replace(few, train_labels=torch.arange(200))
    batches = Batches(counted, Recipe(batch=25))
    seen = torch.cat([batches[step].y for step in range(8, 16)])
    assert sorted(seen.tolist()) == list(range(200)) and seen.tolist() != list(range(200))


def test_a_batch_that_cannot_be_shared(few):
    with pytest.raises(UsageError, match="A batch of 32 images cannot be shared by 3 devices"):
        Batches(few, Recipe(batch=32), 0, 3)


# --- many processes ------------------------------------------------------------------------------------------------


def test_global_batch_norm_is_batch_norm(monkeypatch):
    monkeypatch.setattr(fabric_module, "_over_all", lambda x: x)
    torch.manual_seed(0)
    x = torch.randn(8, 3, 5, 5, requires_grad=True)
    found = []
    for norm in (nn.BatchNorm2d(3), nn.BatchNorm2d(3)):
        with GlobalBatchNorm(1) if found else torch.enable_grad():
            y = norm(x)
        (gradient,) = torch.autograd.grad((y * torch.arange(y.numel()).reshape(y.shape)).sum(), x)
        with GlobalBatchNorm(1):
            evaluated = norm.eval()(x)
        found.append((y, gradient, norm.running_mean, norm.running_var, evaluated))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"mixup": 0.2, "clip": 0.5, "ema": 0.9}], ids=["plain", "everything"])
def test_two_processes_compute_what_one_does(tmp_path, options):
    text = json.dumps({"epochs": 2, "batch": 100, "peak_lr": 0.1, **options})
    worker = Path(__file__).with_name("train_worker.py")  # in float64: training makes much of rounding
    found = {}
    for world in (1, 2):
        out = tmp_path / f"of{world}"
        command = [
            sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}", str(worker), text,
            str(out),
        ]  # fmt: skip
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
        found[world] = json.loads(out.with_suffix(".json").read_text()), load_file(out.with_suffix(".safetensors"))
    assert [found[n][0]["world"] for n in (1, 2)] == [1, 2]
    curves = [torch.tensor(found[n][0]["losses"]) for n in (1, 2)]
    assert curves[0][-1] < 0.8 * curves[0][0]
    torch.testing.assert_close(curves[0], curves[1], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found[1][1], found[2][1], rtol=1e-6, atol=1e-8)


def test_devices_that_are_not_there():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UsageError, match=r"No 1 device\(s\) of the kind cuda"):
        make_fabric("cuda")


# --- stopping and going on -----------------------------------------------------------------------------------------


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("options", [{}, {"mixup": 0.2, "ema": 0.9, "clip": 0.5, "schedule": "cosine"}])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(few, tmp_path, options, monkeypatch):
    recipe = Recipe(epochs=3, batch=20, peak_lr=0.1, **options)
    teacher = seeded(1)
    undisturbed = seeded()
    expected = finetune(undisturbed, few, recipe, teacher=teacher)
    get, stops = Batches.__getitem__, [4, 10, 11, 29]

    def stopping(self, step):
        if stops and step == stops[0]:
            stops.pop(0)
            raise StoppedError
        return get(self, step)

    monkeypatch.setattr(Batches, "__getitem__", stopping)
    while True:
        model = seeded()
        try:
            found = finetune(model, few, recipe, teacher=teacher, checkpoints=Checkpoints(tmp_path, 0.0))
        except StoppedError:
            continue
        break
    assert not stops and found == expected and same(model, undisturbed)
    files = sorted(p.name for p in tmp_path.iterdir())
    assert files == ["checkpoint-00000030.safetensors", "checkpoint.json", "log.csv"]
    assert [line.split(",")[:2] for line in (tmp_path / "log.csv").read_text().splitlines()[1:]] == [
        ["1", "10"], ["2", "20"], ["3", "30"],
    ]  # fmt: skip


def test_checkpoints_of_another_run(few, tmp_path):
    finetune(seeded(), few, Recipe(epochs=1), checkpoints=Checkpoints(tmp_path))
    with pytest.raises(UsageError, match="is of another run: its recipe is"):
        finetune(seeded(), few, Recipe(epochs=2), checkpoints=Checkpoints(tmp_path))
    with pytest.raises(UsageError, match="is of another run: its start is"):
        finetune(seeded(1), few, Recipe(epochs=1), checkpoints=Checkpoints(tmp_path))
    (tmp_path / "checkpoint.json").write_text("{}")
    with pytest.raises(UsageError, match="no checkpoint that can be read"):
        finetune(seeded(), few, Recipe(epochs=1), checkpoints=Checkpoints(tmp_path))


def test_other_files_beside_a_checkpoint_stay(few, tmp_path):
    (tmp_path / "checkpoint-500").mkdir()
    (tmp_path / "checkpoint-best.pt").write_text("mine")
    finetune(seeded(), few, Recipe(epochs=2), checkpoints=Checkpoints(tmp_path, 0.0))
    assert {p.name for p in tmp_path.iterdir()} == {
        "checkpoint-500", "checkpoint-best.pt", "checkpoint-00000002.safetensors", "checkpoint.json", "log.csv",
    }  # fmt: skip


class Other(nn.Module):
    """Gives `form(scores)`, in training mode alone or always."""

    def __init__(self, form, always):
        super().__init__()
        self.body, self.form, self.always = network(), form, always

    def forward(self, x):
        scores = self.body(x)
        return self.form(scores) if self.training or self.always else scores


@pytest.mark.parametrize(("form", "always", "told"), [
    (lambda y: (y, y), False, "gives tuple in training mode; expected class scores"),
    (lambda y: {"logits": y}, True, "gives dict; expected class scores"),
    (lambda y: y[:, :, None], True, r"gives \[1, 10, 1\]; expected class scores"),
])  # fmt: skip
def test_networks_that_give_no_class_scores(few, form, always, told):
    model = Other(form, always).eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(UsageError, match=told):
        finetune(model, few, Recipe(epochs=1))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_nothing_to_train(few):
    with pytest.raises(UsageError, match="No parameter of the network requires gradients"):
        finetune(network().requires_grad_(False), few, Recipe(epochs=1))


def test_narrow_images_are_cropped(few):
    thin = dataclasses.replace(few, train=few.train[:, :, :, :1])
    assert Batches(thin, Recipe(batch=20))[0].x.shape == (20, 1, 16, 1)


def test_an_average_of_tied_weights_moves_once(few):
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    average = copy.deepcopy(model)
    with torch.no_grad():
        model[0].weight += 1.0
    before = average[0].weight.clone()
    averaged(average, model, 0.9)
    torch.testing.assert_close(average[0].weight - before, torch.full((2, 2), 0.1))


# --- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run whose dense network is the factory's own (random, seed 0)."""
    out = tmp_path_factory.mktemp("runs") / "small"
    command(["prune", "padless.demo:DigitsResNet", "--data", "digits", "--target", "unit:16", "--budget", "macs=50%",
             "--importance", "l1", "--recover", "none", "--out", str(out)])  # fmt: skip
    return out


def command(arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["padless", *arguments])
        try:
            main()
        except SystemExit as ended:
            return ended.code or 0
        return 0


QUICK = ["--epochs", "2", "--batch", "350", "--lr", "0.1", "--distill", "0"]


def test_a_folder_is_finetuned_into_another(folder, tmp_path, capsys):
    out = tmp_path / "out"
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert command(["finetune", str(folder), *QUICK, "--out", str(out)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Fine-tuned 2 epoch(s)" in said and "log.csv" in said
    assert {p.name for p in out.iterdir()} == {
        "plan.json", "model.safetensors", "summary.json", "report.html", "log.csv",
    }  # fmt: skip
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert not out.with_name("out.training").exists()
    summary = json.loads((out / "summary.json").read_text())
    did = summary["finetuning"]
    assert summary["after"]["accuracy"] == did["accuracy_after"] > did["accuracy_before"]
    assert did["recipe"]["epochs"] == len(did["losses"]) == 2 and did["from"] == str(folder)
    assert summary["budgets"][0]["met"]
    assert command(["finetune", str(folder), *QUICK, "--out", str(out), "--resume"]) == 0
    assert "is finished already" in " ".join(capsys.readouterr().err.split())


def test_what_a_finetuning_refuses(folder, tmp_path, capsys):
    def refused(*arguments, folder=folder):
        assert command(["finetune", str(folder), *map(str, arguments)]) == 2
        return " ".join(capsys.readouterr().err.split())

    assert "Give --out another folder" in refused("--out", folder)
    (tmp_path / "out.training").mkdir()
    assert "Go on with --resume, or remove it" in refused("--out", tmp_path / "out")
    other = tmp_path / "other"
    other.mkdir()
    for file in folder.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    summary = json.loads((folder / "summary.json").read_text())

    def changed(**facts):
        (other / "summary.json").write_text(json.dumps({**summary, **facts}))
        return refused(folder=other)

    assert "does not have the weights that" in changed(weights_digest="0")
    old = {k: v for k, v in summary.items() if k != "oracle"}
    (other / "summary.json").write_text(json.dumps(old))
    assert "does not say its oracle: an older padless made it" in refused(folder=other)
    weights = other / "model.safetensors"
    weights.rename(other / "elsewhere")
    assert "model.safetensors cannot be read" in changed()
    (other / "elsewhere").rename(weights)
    assert "was made without images. Give --data" in changed(data=None)
    (other / "summary.json").write_text("{}")
    assert "was saved from Python" in refused(folder=other)
    assert "has no readable summary.json" in refused(folder=tmp_path / "nothing")
    assert not list(tmp_path.glob("*finetuned*"))


def test_killed_at_random_moments_it_goes_on_to_the_same_result(folder, tmp_path):
    arguments = ["-m", "padless", "finetune", str(folder), *QUICK, "--epochs", "6", "--checkpoint-every", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(out, *more):
        return subprocess.Popen(
            [sys.executable, *arguments, "--out", str(out), *more], env=environment, stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip

    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    process = start(undisturbed)
    assert process.wait() == 0
    rng, kills, at = random.Random(0), 0, 0
    while kills < 2:
        process = start(killed, "--resume")
        state = tmp_path / "killed.training" / "checkpoint.json"
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None:  # it is training, and got on
            if state.exists() and json.loads(state.read_text())["step"] > at:
                break
            time.sleep(0.005)
        if process.poll() is not None:
            break
        time.sleep(0.3 * rng.random())
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        if state.exists():
            at = json.loads(state.read_text())["step"]
        assert not killed.exists() or (killed / "summary.json").exists()
    assert kills > 1
    assert start(killed, "--resume").wait() == 0
    assert (killed / "model.safetensors").read_bytes() == (undisturbed / "model.safetensors").read_bytes()
    assert (killed / "log.csv").read_text() == (undisturbed / "log.csv").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["killed", "undisturbed"]


def test_regularised_before_the_cut_and_tested_in_int8(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert command(["prune", "padless.demo:DigitsResNet", "--data", "digits", "--target", "unit:16", "--budget", "macs=50%",
                    "--importance", "l1", "--recover", "bn", "--calibration", "64", "--regularize", "1", "--int8",
                    "--out", str(out)]) == 0  # fmt: skip
    said = " ".join(capsys.readouterr().out.split())
    assert "in INT8 %" in said
    summary = json.loads((out / "summary.json").read_text())
    assert summary["regularize"] == 1
    for side in ("before", "after"):
        assert 0 < summary[side]["accuracy_int8"] <= 100
    untrained = json.loads((folder / "summary.json").read_text())
    assert summary["weights_digest"] != untrained["weights_digest"]
