"""Notebooks that are kept as scripts run, and become pages."""

import json
import re

import pytest

from tools.site import ROOT
from tools.site.notebooks import cells, ipynb, page, run

FOLDER = ROOT / "docs" / "notebooks"
TOY = '''"""A toy."""

# %% [markdown]
# # Toy
#
# Words.

# %%
class Shown:
    def _repr_html_(self):
        return "<b>table</b>"


print("said")
Shown()

# %%
open("left.txt", "w").close()
1 + 1
'''


def test_cells_show_what_a_notebook_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words, first, second = ran = run(TOY, "toy.py")
    assert (words.text, words.code, first.printed, first.html, second.value) == (
        "# Toy\n\nWords.",
        False,
        "said\n",
        "<b>table</b>",
        "2",
    )
    assert not (tmp_path / "left.txt").exists()
    text = page(ran, "toy.ipynb")
    assert text.startswith("# Toy\n\nRun when this site was built. [Take it along as a notebook](toy.ipynb)")
    assert "```{ .text .output }\nsaid\n```" in text and '<div class="output">\n<b>table</b>\n</div>' in text
    book = json.loads(ipynb(ran))["cells"]
    assert [cell["cell_type"] for cell in book] == ["markdown", "code", "code"]
    assert book[1]["outputs"][0]["text"] == ["said\n"] and book[1]["outputs"][1]["data"] == {
        "text/html": "<b>table</b>"
    }


def test_a_cell_that_fails_is_named():
    with pytest.raises(ZeroDivisionError) as failed:
        run("# %%\n1 / 0\n", "toy.py")
    assert failed.traceback[-1].frame.code.raw.co_filename == "toy.py, cell 1"


def test_ours_and_torch_pruning_at_equal_macs(capsys):
    """On fewer epochs."""
    pytest.importorskip("torch_pruning")
    script = (FOLDER / "equal_macs.py").read_text()
    ran = run(script.replace("EPOCHS = 5", "EPOCHS = 1").replace("epochs=2", "epochs=1"), "equal_macs.py")
    rows = dict(re.findall(r"^(Torch-Pruning|padless) +(.*)$", ran[-2].printed, re.MULTILINE))
    theirs, ours = (rows[name].replace(",", "").split() for name in ("Torch-Pruning", "padless"))
    assert int(ours[0]) <= int(theirs[0]) and ours[2] == "0.00%" and float(theirs[2].rstrip("%")) > 0


def test_the_first_cut():
    """On fewer epochs."""
    script = (FOLDER / "first_cut.py").read_text()
    assert "epochs=4" in script
    text = page(run(script.replace("epochs=4", "epochs=1"), "first_cut.py"), "x.ipynb")
    before, after = (
        int(n.replace(",", "")) for n in re.search(r"<td>cycles</td><td>([\d,]+)</td><td>([\d,]+)</td>", text).groups()
    )
    assert after <= before / 2 and "% in LiteRT" in text and "<td>5.conv2</td>" in text


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_links_of_notebooks_lead_somewhere(script):
    for cell in cells(script.read_text()):
        for link in re.findall(r"\]\(([^)#]+)", "" if cell.code else cell.text):
            assert link.startswith("https://") or (FOLDER / link).exists(), link
