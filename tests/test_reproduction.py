"""The reproduction: what is measured, that it goes on where it was stopped, and what is made of its rows."""

import csv
import io
import json
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from padless import prune, trace
from padless.errors import UsageError
from padless.inputs import zoo
from padless.reproduction import FULL, QUICK, Cell, Protocol, figures, tables
from padless.reproduction.peers import Knob, PeerError, kept_by, kept_by_name, plan_of, sony_mct, torch_pruning
from padless.reproduction.store import Results, read_results
from padless.reproduction.written import page, text, write_everything


class Tiny(nn.Module):
    """Two convolutions whose widths can be cut, on CIFAR's images."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 32, 3, stride=4, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.second = nn.Sequential(
            nn.Conv2d(32, 64, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()
        )
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(self.second(self.first(x)).mean((2, 3)))


def telling() -> Tiny:
    """With another running mean for each channel, as a trained network has."""
    torch.manual_seed(0)
    model = Tiny().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
    return model


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(zoo.CIFAR_FORMS, "tiny", lambda models: Tiny())


@pytest.fixture
def data(tmp_path):
    """150 and 40 images of noise whose colour is their class."""
    drawn = np.random.default_rng(0)
    for part, count in (("train", 15), ("test", 4)):
        for label in range(10):
            folder = tmp_path / "data" / part / str(label)
            folder.mkdir(parents=True)
            for n in range(count):
                pixels = np.clip(drawn.normal(25 * label, 20, (32, 32, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{n}.png")
    return tmp_path / "data"


@pytest.fixture
def run(run, tiny, data):
    """Run `padless reproduce ARGS` on the tiny network."""
    options = ("--data", "data", "--networks", "tiny", "--quick", "--units", "8")
    return lambda *args: run("reproduce", *options, *args)


# --- what is measured -----------------------------------------------------------------------------------------------


def test_the_cells_are_those_of_the_protocol_seed_by_seed():
    cells = list(FULL.cells())
    networks, seeds = len(FULL.networks), len(FULL.seeds)
    assert len(cells) == len(set(cells)) == networks * seeds * (1 + 3 * (1 + 3) + 3 * 6)
    assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells)
    assert len(list(QUICK.cells())) == 2 * (1 + 4 + 6)
    assert str(cells[2]) == "vgg16_bn, NPU-aware at equal ratio 30 %, unit 8, seed 0"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ratios": (1.5,)}, "ratios lie between 0 and 1, such as 0.5 or 50%; got 1.5"),
        ({"budgets": (0.0,)}, "budgets lie between 0 and 1"),
        ({"epochs": 0}, "epochs is at least 1; got 0"),
        ({"images": -1}, "images is at least 0; got -1"),
        ({"units": (8, 1)}, "units are at least 2; got 8, 1"),
        ({"seeds": (0, -1)}, "seeds are at least 0; got 0, -1"),
        ({"networks": ()}, "Give one of networks or more"),
        ({"networks": ("vgg16",)}, "No network 'vgg16' in CIFAR form. Did you mean vgg16_bn"),
        ({"methods": ("padles",)}, "No method 'padles'. Did you mean padless"),
    ],
)
def test_what_is_out_of_range_is_said(wrong, message):
    with pytest.raises(UsageError, match=message):
        Protocol(**wrong)


# --- a run ----------------------------------------------------------------------------------------------------------


def test_a_run_goes_on_and_is_added_to(run, tmp_path, data):
    (tmp_path / "w").mkdir()
    save_file(telling().state_dict(), tmp_path / "w" / "tiny.safetensors")
    options = ("--methods", "padless,NPU-aware,general,Torch-Pruning local", "--weights", "w", "--out", "r")
    code, out, err = run(*options, "--budgets", "70")
    assert (code, out.strip()) == (
        0,
        "Written: r/results.json, tables.md, cells.csv, layers.csv, figures/, report.html",
    )
    found = read_results(tmp_path / "r" / "results.json")
    assert [row["method"] for row in found["rows"]] == [
        "continued", "general", "NPU-aware", "padless", "NPU-aware", "general", "Torch-Pruning local",
    ]  # fmt: skip
    assert "7 of 7: tiny, Torch-Pruning local at equal cycles 70 %" in " ".join(err.split())
    for row in found["rows"]:
        if row["part"] == "equal cycles" and row["accuracy"] is not None:
            assert row["cycles_percent"] <= 70
    aware = tables.of(found["rows"], part="equal ratio", method="NPU-aware")
    assert [row["waste"]["NPU-aware"]["avoidable_macs_percent"] for row in aware] == [0.0]
    assert [set(row["layers"]["general"]) for row in aware] == [{"first.0", "second.0", "fc"}]
    assert not (tmp_path / "r" / ".training").exists()
    assert {row["on"].split(", ")[2] for row in found["rows"] if "on" in row} <= {"32-true", "bf16-mixed"}
    assert {"torch", "torch-pruning"} <= set(found["versions"])
    assert len(found["staircase"]) == 1
    for steps in found["staircase"]:
        c_in, c_out, cost = steps["chosen"]["padless"]
        assert (c_in, cost) == (steps["c_in"], steps["costs"][c_out - 1])
    # Again: nothing is measured anew, and the tables are the same.
    tabled = (tmp_path / "r" / "tables.md").read_text()
    before = [json.dumps(row) for row in found["rows"]]
    assert run(*options, "--budgets", "70")[0] == 0
    assert [json.dumps(row) for row in read_results(tmp_path / "r" / "results.json")["rows"]] == before
    assert (tmp_path / "r" / "tables.md").read_text().splitlines()[:-1] == tabled.splitlines()[:-1]
    # One more ratio and one more unit are added to what is there; what is given twice is measured once.
    assert run(*options, "--budgets", "70", "--ratios", "30,0.3", "--units", "8,16")[0] == 0
    more = read_results(tmp_path / "r" / "results.json")
    assert len(more["rows"]) == len(before) + 3
    assert len(more["commands"]) == 2
    assert more["seconds"] > found["seconds"]
    header = next(line for line in (tmp_path / "r" / "tables.md").read_text().splitlines() if "MACs left" in line)
    assert "| general | NPU-aware 8 | NPU-aware 16 | MACs left, % |" in header
    # Another training is another folder's.
    code, _, err = run(*options, "--budgets", "70", "--epochs", "2")
    assert code == 2
    assert "was measured with epochs 1, now it is 2. Give the same options, or --out another folder." in err
    # Other weights, too.
    save_file(Tiny().state_dict(), tmp_path / "w" / "tiny.safetensors")
    code, _, err = run(*options, "--budgets", "60")
    assert (code, "holds tiny with other weights. Give --out another folder." in err) == (2, True)


def test_without_weights_a_network_is_trained_first_and_kept(run, tmp_path):
    options = ("--methods", "padless", "--ratios", "", "--budgets", "70", "--out", "r")
    code, _, err = run(*options)
    assert code == 0
    assert "No weights for tiny: training it for 2 epoch(s)." in err
    assert (tmp_path / "r" / "weights" / "tiny.safetensors").exists()
    assert read_results(tmp_path / "r" / "results.json")["trained"] == {"tiny": 2}
    code, _, err = run(*options, "--seeds", "0,1")
    assert (code, "training it" in err) == (0, False)
    (tmp_path / "r" / "weights" / "tiny.safetensors").unlink()
    code, _, err = run(*options, "--seeds", "2")
    assert (code, "holds tiny with weights that are not at hand. Give --weights." in " ".join(err.split())) == (2, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--ratios", "thirty"), "--ratios takes shares with commas between, such as 30,50; got 'thirty'."),
        (("--units", "8;16"), "--units takes whole numbers with commas between, such as 8,16; got '8;16'."),
        (("--networks", "alexnet"), "No network 'alexnet' in CIFAR form."),
        (("--weights", "nowhere"), "No folder nowhere. Give --weights a folder with NETWORK.safetensors"),
        (
            ("--target", "sony-imx500"),
            'sony-imx500 has no cycles to be equal in. Give --budgets "", or another target.',
        ),
        (("--out", "data/train/0/0.png"), "data/train/0/0.png is a file; it stays as it is. Give --out a folder."),
    ],
)
def test_wrong_options(run, options, message):
    code, _, err = run(*options)
    assert code == 2
    assert message in " ".join(err.split())


def test_a_tool_that_is_not_installed_is_left_out(run, tmp_path, monkeypatch):
    monkeypatch.setattr("padless.reproduction.run.NEEDS", {"MCT": "no_such_module"})
    code, _, err = run("--ratios", "", "--methods", "MCT,general", "--budgets", "70", "--out", "r")
    assert code == 0
    assert "MCT is not installed (the module no_such_module), so its rows are left out." in " ".join(err.split())
    assert "MCT" not in {row["method"] for row in read_results(tmp_path / "r" / "results.json")["rows"]}


def test_without_a_library_for_pictures_nothing_is_started(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, _, err = run("--out", "r")
    assert (code, (tmp_path / "r").exists()) == (2, False)
    assert "Drawing the reproduction needs the package matplotlib" in " ".join(err.split())


def test_results_that_are_none(tmp_path):
    (tmp_path / "results.json").write_text('{"rows')
    with pytest.raises(UsageError, match="holds no results that can be read"):
        Results(tmp_path, {}, ())


# --- other tools ----------------------------------------------------------------------------------------------------


def test_a_knob_is_turned_to_the_cost_nearest_below_the_limit():
    made = Knob(lambda at: nn.Linear(1, round(100 * (1 - at)) or 1), lambda m: m.out_features, high=0.9)
    assert made.at_most(50).out_features in (49, 50)
    assert made.at_most(5) is None
    stops = Knob(lambda at: nn.Linear(1, round(100 * (1 - at))) if at < 0.6 else None, lambda m: m.out_features)
    assert stops.at_most(45).out_features in (41, 42, 43, 44, 45)
    assert stops.at_most(30) is None


def test_what_another_tool_kept_is_told_by_the_running_means():
    model, x = telling(), torch.zeros(1, 3, 32, 32)
    graph = trace(model, x)
    small = torch_pruning(model, x)(0.5)
    plan = plan_of(graph, kept_by(graph, model, small))
    assert sorted(len(kept) for kept in plan.keep.values()) == [10, 16, 32]

    y = torch.rand(2, 3, 32, 32)
    assert torch.allclose(prune(model, plan)(y), small(y), atol=1e-5)
    model.first[1].running_mean.zero_()
    small.first[1].running_mean.zero_()
    with pytest.raises(PeerError, match="two channels have one mean, or none; nothing can be told apart"):
        kept_by(graph, model, small)


@pytest.mark.parametrize(
    ("module", "make", "message"),
    [
        ("torch_pruning", torch_pruning, "Torch-Pruning needs: pip install torch-pruning"),
        ("model_compression_toolkit", sony_mct, "MCT needs: pip install model-compression-toolkit"),
    ],
)
def test_a_missing_tool_says_how_to_get_it(monkeypatch, module, make, message):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=message):
        make(Tiny(), torch.zeros(1))


def test_a_tool_that_fails_has_no_row_and_is_tried_again(run, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("out of paper")

    options = ("--ratios", "", "--methods", "Torch-Pruning local", "--budgets", "70", "--out", "r")
    (tmp_path / "r" / "weights").mkdir(parents=True)
    save_file(telling().state_dict(), tmp_path / "r" / "weights" / "tiny.safetensors")
    with monkeypatch.context() as patched:
        patched.setattr("padless.reproduction.subject.torch_pruning", broken)
        code, _, err = run(*options)
    assert (code, "Torch-Pruning local failed: RuntimeError: out of paper" in " ".join(err.split())) == (0, True)
    assert len(read_results(tmp_path / "r" / "results.json")["rows"]) == 1
    assert run(*options)[0] == 0
    assert len(read_results(tmp_path / "r" / "results.json")["rows"]) == 2


class Renamed(nn.Module):
    """As MCT returns a network: modules by our names with underscores."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        for name, module in model.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                self.add_module(name.replace(".", "_"), module)


def test_what_mct_kept_is_told_by_its_filters():
    model = telling()
    graph = trace(model, torch.zeros(1, 3, 32, 32))
    small = torch_pruning(model, torch.zeros(1, 3, 32, 32))(0.5)
    theirs = Renamed(small)
    with torch.no_grad():
        theirs.first_0.weight *= torch.linspace(0.5, 2, 16)[:, None, None, None]  # a batch norm folded into it
    plan = plan_of(graph, kept_by_name(graph, model, theirs))
    assert sorted(len(kept) for kept in plan.keep.values()) == [10, 16, 32]
    assert torch.equal(prune(model, plan).second[0].weight, small.second[0].weight)
    with torch.no_grad():
        theirs.first_0.weight[0] = 1
    with pytest.raises(PeerError, match="first.0: a filter of MCT's is a copy of none, or of several"):
        kept_by_name(graph, model, theirs)
    theirs.first_0 = model.first[0]
    with pytest.raises(PeerError, match="second.0: 144 numbers a filter, 288 expected"):
        kept_by_name(graph, model, theirs)


# --- what is written ------------------------------------------------------------------------------------------------


def rows_of(protocol: Protocol) -> list[dict]:
    """Rows as a run makes them, of numbers that are easy to check."""
    rows = []
    for cell in protocol.cells():
        row = asdict(cell) | {"accuracy": 80.0 + cell.seed, "loss": 1.0, "seconds": 1.0}
        if cell.part == "dense":
            row["accuracy_before"] = 79.0
        elif cell.part == "equal ratio":
            row |= {"accuracy_cut": 20.0, "accuracy_recovered": 60.0, "macs_percent": 25.0}
            if cell.unit > 1:
                waste = {"wasted_macs_percent": 10.0, "wasted_weight_percent": 8.0, "wasted_activation_percent": 6.0}
                row["waste"] = {
                    method: {k: v - less for k, v in waste.items()} | {"avoidable_macs_percent": 9.0 - 2 * less}
                    for method, less in (("general", 0.0), ("NPU-aware", 4.5))
                }
                row["layers"] = {method: {"conv": [3, 8, 100, 120, 50, 60]} for method in row["waste"]}
        elif cell.method == "MCT":
            row |= {"accuracy": None}
        else:
            row |= {
                "accuracy_cut": 30.0,
                "accuracy_recovered": 70.0,
                "cycles_percent": 100 * cell.size - 1,
                "macs_percent": 83.0,
            }
        rows.append(row)
    return rows


def results(protocol: Protocol) -> dict:
    steps = {"network": "resnet18", "layer": "conv", "size": 0.5, "c_in": 8, "widths": [1, 2, 3], "costs": [5, 5, 9]}
    return {
        "commands": ["padless reproduce <all>"], "versions": {"python": "3"},
        "target": "unit:8", "epochs": 5, "images": 1000, "test_images": 0, "seconds": 3.0, "trained": {"vgg16_bn": 2},
        "staircase": [steps | {"chosen": {"padless": (8, 2, 5), "general": (4, 3, 9)}}], "rows": rows_of(protocol),
    }  # fmt: skip


def test_the_tables_say_what_the_rows_say():
    said = text(results(FULL))
    assert "| resnet18 | 30% | 8 | 10.00 → 5.50 (+4.50) | 8.00 → 3.50 (+4.50) | 6.00 → 1.50 (+4.50) | 0.00 |" in said
    assert "Here, points, over all networks and ratios above: unit 8: computation 4.50 to 4.50, weight space 4." in said
    assert "unit 8: computation 4.50 to 4.50, weight space 4.50 to 4.50, activation space 4.50" in said
    assert "| vgg16_bn | 70% | 3 | 81.00 ± 1.00 | 20.00 / 60.00 / **81.00 ± 1.00** | 20.00 / 60.00 / **81.0" in said
    assert "vgg16_bn: dense 79.00 %, continued 81.00 ± 1.00 %; 3 seed(s)" in said
    assert "| padless | 3 | 30.00 / 70.00 / **81.00 ± 1.00** |" in said
    assert "| MCT | 3 | - | - | - |" in said
    assert "| points | 50% of the cycles | 35% of the cycles |" in said
    assert "| padless less NPU-aware | +0.00 ± 0.00 | +0.00 ± 0.00 | +0.00 ± 0.00 |" in said
    assert "| padless | 3 | 49.00 / 83.00 | 34.00 / 83.00 | 24.00 / 83.00 |" in said
    assert "| resnet18 | dense, continued | +0.00 ± 0.00 |" in said
    assert said.endswith(
        "unit:8; 5 epoch(s) of fine-tuning on 1,000 training images; the whole test set; last epoch. "
        "vgg16_bn was trained for 2 epoch(s) here.\n\n```\npadless reproduce <all>\n```\n"
    )


def test_the_dense_network_is_that_of_the_same_seeds():
    rows = rows_of(replace(FULL, networks=("resnet18",), ratios=(0.5,), seeds=(0, 1)))
    rows = [row for row in rows if row["part"] != "equal ratio" or row["seed"] == 1]
    assert "| resnet18 | 50% | 1 | 81.00 | 20.00 / 60.00 / **81.00** |" in tables.equal_ratio(rows)


def test_a_method_that_was_not_measured_is_not_explained():
    assert "MCT scores channels on 64" in text(results(FULL))
    assert "MCT" not in text(results(replace(FULL, methods=("padless", "general"))))


def test_leads_are_between_common_seeds():
    rows = rows_of(replace(FULL, networks=("resnet18",), budgets=(0.5,), seeds=(0, 1)))
    for row in tables.of(rows, part="equal cycles"):
        row["accuracy"] = {"padless": 90.0 + 2 * row["seed"], "general": 88.0, "NPU-aware": 89.0}.get(row["method"])
    alone = tables.of(rows, part="equal cycles", method="NPU-aware", seed=1)[0]
    rows.remove(alone)
    said = tables.leads(rows, "resnet18")
    assert "| padless less NPU-aware | +1.00 |" in said
    assert "| padless less general | +3.00 ± 1.41 |" in said
    assert "| padless less MCT | - |" in said
    assert "| NPU-aware less general | +1.00 |" in said
    assert tables.leads(tables.of(rows, method="padless"), "resnet18") == ""
    for row in tables.of(rows, part="equal ratio", method="NPU-aware", size=0.3):
        row["accuracy"] = 74.5 + row["seed"]
    said = tables.against_general(rows)
    assert "| resnet18 | general | -5.50 ± 0.00 | +0.00 ± 0.00 |" in said
    assert "| resnet18 | dense, continued | -5.50 ± 0.00 |" in said


def test_everything_is_written_and_drawn(tmp_path):
    found = results(replace(FULL, seeds=(0,), networks=("vgg16_bn", "resnet18")))
    write_everything(tmp_path, found)
    for name in ("waste", "equal-ratio", "equal-cycles", "staircase"):
        with Image.open(tmp_path / "figures" / f"{name}.png") as picture:
            assert picture.width > 500
            assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 20  # it is not empty
    cells = list(csv.DictReader(io.StringIO((tmp_path / "cells.csv").read_text())))
    assert len(cells) == len(found["rows"])
    layers = list(csv.DictReader(io.StringIO((tmp_path / "layers.csv").read_text())))
    assert layers[0] == {
        "network": "vgg16_bn", "method": "general", "ratio": "0.3", "unit": "8", "layer": "conv", "c_in": "3", "c_out": "8",
        "macs": "100", "padded_macs": "120", "bytes": "50", "padded_bytes": "60",
    }  # fmt: skip
    html = (tmp_path / "report.html").read_text()
    assert html.count('src="data:image/png;base64,') == 4
    assert "<script" not in html
    assert "padless reproduce &lt;all&gt;" in html
    assert "<b>80.00</b>" in html


def test_general_pruning_alone_leaves_no_waste_to_compare(tmp_path):
    rows = [row for row in rows_of(FULL) if row["method"] != "NPU-aware"]
    assert [made.name for made in figures.draw_all(tmp_path, rows, [], "")] == ["equal-ratio.png", "equal-cycles.png"]


def test_a_unit_has_a_mark_of_its_own_and_the_usual_ones_always_the_same():
    marks = []
    for units in ((8, 16, 32), (12, 16, 24, 32)):
        figure = figures.empty_figure()
        figures._equal_ratio(figure, rows_of(replace(FULL, units=units, networks=("vgg16_bn", "resnet18"))))
        lines = {line.get_label(): (line.get_color(), line.get_marker()) for line in figure.axes[0].lines}
        marks.append({said: look for said, look in lines.items() if said == "general" or "unit" in said})
        assert len(set(marks[-1].values())) == len(units) + 1
    for name in ("general", "NPU-aware, unit 16", "NPU-aware, unit 32"):
        assert marks[0][name] == marks[1][name]


def test_a_run_without_a_part_has_a_page_without_it():
    found = results(replace(FULL, ratios=()))
    assert "What general pruning wastes" not in page(found, [])
    assert "Accuracy at equal cycles" in page(found, [])


def test_a_cell_says_what_it_is():
    cell = Cell(network="tiny", part="equal cycles", method="MCT", size=0.35, unit=0, seed=2)
    assert str(cell) == "tiny, MCT at equal cycles 35 %, seed 2"
