"""Everything that a run writes from its rows: tables, pictures, one page."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from padless.files import write_atomically
from padless.report.page import STYLE
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


def write_everything(out: Path, found: Mapping[str, Any]) -> None:
    """Tables (Markdown, CSV), pictures (PNG) and the page (HTML) of a run's results."""
    rows, steps = found["rows"], [Steps(**one) for one in found.get("staircase", [])]
    write_atomically(out / TABLES, text(found))
    write_atomically(out / "cells.csv", tables.cells_csv(rows))
    write_atomically(out / "layers.csv", tables.layers_csv(rows))
    pictures = draw_all(out / FIGURES, rows, steps, conditions(found))
    write_atomically(out / PAGE, page(found, pictures))


def conditions(found: Mapping[str, Any]) -> str:
    """In a line: target, training, images."""
    images = f"{found['images']:,} training images" if found["images"] else "all training images"
    tested = f"{found['test_images']:,} test images" if found["test_images"] else "the whole test set"
    return f"{found['target']}; {found['epochs']} epoch(s) of fine-tuning on {images}; {tested}; last epoch"


def trained(found: Mapping[str, Any]) -> str:
    """For how long each dense network was trained by the run itself, as sentences; empty where weights were given."""
    return "".join(f" {name} was trained for {epochs} epoch(s) here." for name, epochs in found["trained"].items())


def commands(found: Mapping[str, Any]) -> str:
    """Those that measured it, as Markdown: a block with a line each."""
    return "\n".join(["```", *found["commands"], "```"])


def machines(found: Mapping[str, Any]) -> str:
    """What the cells were measured on."""
    return " and ".join(dict.fromkeys(row["on"] for row in found["rows"] if "on" in row))


def sections(found: Mapping[str, Any]) -> list[tuple[str, str, list[str], list[str]]]:
    """Title, text, Markdown tables and lines, and the pictures that belong there."""
    rows = found["rows"]
    by_ratio, by_cycles = tables.of(rows, part="equal ratio"), tables.of(rows, part="equal cycles")
    made = []
    if tables.of(by_ratio, method=AWARE):
        made.append(
            ("What general pruning wastes", WASTE, [tables.waste(rows), tables.beside_the_paper(rows)], ["waste"])
        )
        parts = [tables.equal_ratio(rows), tables.against_general(rows)]
        made.append(("Accuracy at equal ratio", RATIO, parts, ["equal-ratio"]))
    if by_cycles:
        parts = []
        for network in tables.distinct(by_cycles, "network"):
            parts += [
                tables.dense_line(rows, network), tables.equal_cycles(rows, network), tables.leads(rows, network),
                tables.spent(rows, network),
            ]  # fmt: skip
        said = CYCLES + (SCORES if tables.of(by_cycles, method=MCT) else "")
        made.append(("Accuracy at equal cycles", said, parts, ["equal-cycles", "staircase"]))
    return made


def text(found: Mapping[str, Any], level: str = "#", pictures: Mapping[str, str] | None = None) -> str:
    """All tables as Markdown; `pictures` says where those that are to be shown lie."""
    parts = []
    for title, said, made, drawn in sections(found):
        parts += [f"{level} {title}", said, *(part for part in made if part)]
        parts += [f"![{title}: {name}]({pictures[name]})" for name in drawn if pictures and name in pictures]
    return "\n\n".join([*parts, f"{conditions(found)}.{trained(found)}", commands(found)]) + "\n"


def page(found: Mapping[str, Any], pictures: Sequence[Path]) -> str:
    """One HTML page without scripts or outside files."""
    title = f"Reproduction on {found['target']}"
    parts = [f"<h1>{escape(title)}</h1>", f"<p>{escape(f'{conditions(found)}.{trained(found)}')}</p>"]
    drawn = {picture.stem: picture for picture in pictures}
    for heading, said, made, names in sections(found):
        parts += [f"<h2>{escape(heading)}</h2>", f"<p>{_marked(said)}</p>"]
        parts += [_table(part) if part.startswith("|") else f"<p>{escape(part)}</p>" for part in made if part]
        for name in names:
            if name in drawn:
                data = base64.b64encode(drawn[name].read_bytes()).decode()
                parts.append(f'<img alt="{escape(heading)}: {name}" src="data:image/png;base64,{data}">')
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    given = "<br>".join(f"<code>{escape(command)}</code>" for command in found["commands"])
    parts.append(f"<p>{given}<br>{escape(versions)}; {escape(machines(found))}; {found['seconds']:,.0f} s</p>")
    style = STYLE.replace("60rem", "72rem") + "img{max-width:100%}table{display:block;overflow-x:auto}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>padless: {escape(title)}</title>'
        f"<style>{style}</style>\n" + "\n".join(parts) + "</html>\n"
    )


def _table(markdown: str) -> str:
    """Our own Markdown tables as HTML."""
    lines = [line.strip("|").split("|") for line in markdown.splitlines()]
    head = "".join(f"<th>{_marked(cell.strip())}</th>" for cell in lines[0])
    body = ("".join(f"<td>{_marked(cell.strip())}</td>" for cell in line) for line in lines[2:])
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{row}</tr>" for row in body) + "</table>"


def _marked(said: str) -> str:
    """Escaped; what stands between double stars is bold."""
    pieces = escape(said).split("**")
    return "".join(f"<b>{piece}</b>" if n % 2 else piece for n, piece in enumerate(pieces))
