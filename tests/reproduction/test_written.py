"""What is made of the rows: tables, pictures, a page."""

import csv
import io
from dataclasses import asdict, replace

from PIL import Image

from padless.reproduction import FULL, Protocol, figures, tables
from padless.reproduction.written import page, text, write_everything


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
