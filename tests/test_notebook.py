"""What notebooks show of objects."""

import torch
from models.networks import small

from padless import inspect, plan, targets, trace
from padless.notebook import MOST, shown

X = torch.zeros(1, 3, 16, 16)


def test_tables_are_short_and_plain_text():
    html = shown("a < b", ("x",), [(f"<{n}>",) for n in range(MOST + 3)])
    assert "<p>a &lt; b</p>" in html and html.count("<tr>") == MOST + 1 and "&lt;0&gt;" in html
    assert html.endswith("<p>and 3 more</p>")


def test_each_object_shows_its_numbers(few):
    cost = inspect(small(), X, target="unit:8")
    assert "5 layers on ad-hoc units" in cost._repr_html_() and "<td>16→24</td>" in cost._repr_html_()
    timed = inspect(small(), X, target="unit:8", oracle=lambda shapes: [7] * len(shapes))
    assert "35 cycles" in timed._repr_html_() and "<td>7</td>" in timed._repr_html_()
    made = plan(small(), X, target="unit:8", budget="macs=50%")
    assert "macs=50%" in made._repr_html_() and f"<td>{made.after['macs']:,}</td>" in made._repr_html_()
    graph = trace(small(), X)
    assert f"<td>{graph.groups[0].id}</td>" in graph._repr_html_() and "output of the network" in graph._repr_html_()
    assert "<td>200</td><td>1x16x16</td><td>uint8</td><td>10 classes</td>" in few._repr_html_()
    known = targets()
    assert (
        isinstance(known, tuple)
        and f"{len(known)} targets" in known._repr_html_()
        and "<td>adi-max78000</td>" in known._repr_html_()
    )
