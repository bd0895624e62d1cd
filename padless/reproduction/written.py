"""Everything that a run writes from its rows: tables, pictures, one page."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from padless.files import write_atomically
from padless.report.html import document
from padless.reproduction import tables
from padless.reproduction.figures import draw_all
from padless.reproduction.protocol import AWARE, MCT
from padless.reproduction.staircase import Steps

TABLES, PAGE, FIGURES = "tables.md", "report.html", "figures"

WASTE = """The paper's comparison, by our reading of its abstract: general pruning takes the share of the channels that lies
below one L1 threshold over the network; NPU-aware pruning takes the same and then moves each width to the nearest multiple
of the unit. Unnecessary computation is 1 - MACs / padded MACs, hardware-inefficient space is 1 - bytes / padded bytes of
weights and of stored activations, each in percent: general → NPU-aware (points between them)."""

TREATED = """Top-1 accuracy in percent: as cut / repaired on 512 images without labels (our closed form, for all of them) /
**after the last epoch of the same fine-tuning**, with the dense network as the teacher."""

RATIO = f"""{TREATED}
Mean ± deviation over the seeds. The dense network is continued with the same recipe for the same epochs. At one
ratio the prunings leave different amounts of MACs (of dense in percent, in the order of the columns). The second table
has points, on the same seeds."""

CYCLES = f"""Every method is turned until the compiler's total for the whole network is within the budget.
{TREATED}
Mean ± deviation over the seeds, differences on the same seeds. The last table has what each takes of the dense network's
cycles / MACs, in percent, as cut."""

SCORES = """ MCT scores channels on 64 of these images, since its scores take minutes; the channels that it keeps are cut
from the network itself, for its own network leaves batch norms out."""


def write_everything(out: Path, results: Mapping[str, Any]) -> None:
    """Tables (Markdown, CSV), pictures (PNG) and the page (HTML) of a run's results."""
    rows, steps = results["rows"], [Steps(**stair) for stair in results.get("staircase", [])]
    write_atomically(out / TABLES, text(results))
    write_atomically(out / "cells.csv", tables.cells_csv(rows))
    write_atomically(out / "layers.csv", tables.layers_csv(rows))
    pictures = draw_all(out / FIGURES, rows, steps, conditions(results))
    write_atomically(out / PAGE, page(results, pictures))


def conditions(results: Mapping[str, Any]) -> str:
    """In a line: target, training, images."""
    images = f"{results['images']:,} training images" if results["images"] else "all training images"
    tested = f"{results['test_images']:,} test images" if results["test_images"] else "the whole test set"
    return f"{results['target']}; {results['epochs']} epoch(s) of fine-tuning on {images}; {tested}; last epoch"


def trained(results: Mapping[str, Any]) -> str:
    """For how long each dense network was trained by the run itself, as sentences; empty where weights were given."""
    return "".join(f" {name} was trained for {epochs} epoch(s) here." for name, epochs in results["trained"].items())


def commands(results: Mapping[str, Any]) -> str:
    """Those that measured it, as Markdown: a block with a line each."""
    return "\n".join(["```", *results["commands"], "```"])


def machines(results: Mapping[str, Any]) -> str:
    """What the cells were measured on."""
    return " and ".join(dict.fromkeys(row["on"] for row in results["rows"] if "on" in row))


def sections(results: Mapping[str, Any]) -> list[tuple[str, str, list[str], list[str]]]:
    """Title, text, Markdown tables and lines, and the pictures that belong there."""
    rows = results["rows"]
    by_ratio, by_cycles = tables.of(rows, part="equal ratio"), tables.of(rows, part="equal cycles")
    chapters = []
    if tables.of(by_ratio, method=AWARE):
        chapters.append(
            ("What general pruning wastes", WASTE, [tables.waste(rows), tables.beside_the_paper(rows)], ["waste"])
        )
        parts = [tables.equal_ratio(rows), tables.against_general(rows)]
        chapters.append(("Accuracy at equal ratio", RATIO, parts, ["equal-ratio"]))
    if by_cycles:
        parts = []
        for network in tables.distinct(by_cycles, "network"):
            parts += [
                tables.dense_line(rows, network), tables.equal_cycles(rows, network), tables.leads(rows, network),
                tables.spent(rows, network),
            ]  # fmt: skip
        prose = CYCLES + (SCORES if tables.of(by_cycles, method=MCT) else "")
        chapters.append(("Accuracy at equal cycles", prose, parts, ["equal-cycles", "staircase"]))
    return chapters


def text(results: Mapping[str, Any], level: str = "#", pictures: Mapping[str, str] | None = None) -> str:
    """All tables as Markdown; `pictures` says where those that are to be shown lie."""
    parts = []
    for title, prose, pieces, names in sections(results):
        parts += [f"{level} {title}", prose, *(part for part in pieces if part)]
        parts += [f"![{title}: {name}]({pictures[name]})" for name in names if pictures and name in pictures]
    return "\n\n".join([*parts, f"{conditions(results)}.{trained(results)}", commands(results)]) + "\n"


def page(results: Mapping[str, Any], pictures: Sequence[Path]) -> str:
    """One HTML page without scripts or outside files."""
    title = f"Reproduction on {results['target']}"
    parts = [f"<h1>{escape(title)}</h1>", f"<p>{escape(f'{conditions(results)}.{trained(results)}')}</p>"]
    files = {picture.stem: picture for picture in pictures}
    for heading, prose, pieces, names in sections(results):
        parts += [f"<h2>{escape(heading)}</h2>", f"<p>{_marked(prose)}</p>"]
        parts += [_table(part) if part.startswith("|") else f"<p>{escape(part)}</p>" for part in pieces if part]
        for name in names:
            if name in files:
                data = base64.b64encode(files[name].read_bytes()).decode()
                parts.append(f'<img alt="{escape(heading)}: {name}" src="data:image/png;base64,{data}">')
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    commands_run = "<br>".join(f"<code>{escape(command)}</code>" for command in results["commands"])
    parts.append(
        f"<p>{commands_run}<br>{escape(versions)}; {escape(machines(results))}; {results['seconds']:,.0f} s</p>"
    )
    style = "body{max-width:72rem}img{max-width:100%}table{display:block;overflow-x:auto}"
    return document(title, "\n".join(parts), style)


def _table(markdown: str) -> str:
    """Our own Markdown tables as HTML."""
    lines = [line.strip("|").split("|") for line in markdown.splitlines()]
    head = "".join(f"<th>{_marked(cell.strip())}</th>" for cell in lines[0])
    body = ("".join(f"<td>{_marked(cell.strip())}</td>" for cell in line) for line in lines[2:])
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{row}</tr>" for row in body) + "</table>"


def _marked(prose: str) -> str:
    """Escaped; what stands between double stars is bold."""
    pieces = escape(prose).split("**")
    return "".join(f"<b>{piece}</b>" if n % 2 else piece for n, piece in enumerate(pieces))
