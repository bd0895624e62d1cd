"""Grids: what combinations they make, and what is said of mistakes."""

import os

import pytest

from padless import UsageError
from padless.sweep import grid
from padless.sweep.grid import read_grid
from padless.sweep.point import Point, point_of


def points_of(tmp_path, text):
    (tmp_path / "g.toml").write_text(text)
    return [point for point, _ in read_grid(tmp_path / "g.toml", trust=True)]


def refused(tmp_path, text):
    with pytest.raises(UsageError) as caught:
        points_of(tmp_path, text)
    return str(caught.value).replace(str(tmp_path), "")


def test_every_combination_of_lists(tmp_path):
    points = points_of(
        tmp_path, 'model = "m:f"\ntarget = ["unit:8", "unit:16"]\nbudget = ["macs=50%", "macs=25%"]\nseed = 1'
    )
    assert [(p.target, p.budget, p.seed) for p in points] == [
        ("unit:8", ("macs=50%",), 1), ("unit:8", ("macs=25%",), 1), ("unit:16", ("macs=50%",), 1), ("unit:16", ("macs=25%",), 1),
    ]  # fmt: skip


def test_grids_share_what_stands_before_them(tmp_path):
    points = points_of(
        tmp_path,
        'target = "unit:8"\nseed = [0, 1]\nbudget = "macs=50%"\n[[grid]]\nmodel = "a:f"\n'
        '[[grid]]\nmodel = "b:f"\nseed = 7\nbudget = [["macs=50%", "weight_bytes=50%"], "macs=25%"]\nfreeze = ["x*"]\n',
    )
    assert [(p.model, p.seed, p.budget) for p in points] == [
        ("a:f", 0, ("macs=50%",)), ("a:f", 1, ("macs=50%",)),
        ("b:f", 7, ("macs=50%", "weight_bytes=50%")), ("b:f", 7, ("macs=25%",)),
    ]  # fmt: skip
    assert points[-1].freeze == ("x*",)


def test_a_table_has_lists_of_its_own(tmp_path):
    points = points_of(
        tmp_path,
        'model = "m:f"\ntarget = "unit:8"\nbudget = "macs=50%"\ndata = "digits"\nseed = 3\n'
        "[finetune]\nepochs = [1, 2]\nlr = 0.1\n",
    )
    assert [(p.recipe().epochs, p.recipe().peak_lr, p.recipe().seed) for p in points] == [(1, 0.1, 3), (2, 0.1, 3)]


def test_all_mistakes_are_told_with_their_lines(tmp_path):
    text = 'model = "m:f"\nbugdet = "x"\n[[grid]]\ntarget = "unit:8"\nseed = "zero"\nwork = "prunne"\n[[grid]]\nbudget = "macs=1"'
    assert refused(tmp_path, text).splitlines() == [
        "/g.toml has 5 mistakes; nothing was started:",
        "  line 3: budget is missing",
        "  line 6: work cannot be 'prunne'. Did you mean prune?",
        "  line 5: seed: Input should be a valid integer; got 'zero'",
        "  line 2: there is no option 'bugdet'. Did you mean budget or depth or target?",
        "  line 7: target is missing",
    ]


def test_of_many_mistakes_the_first_are_told(tmp_path):
    text = "\n".join(f'[[grid]]\nmodel = "m{n}:f"\nno{n} = 1' for n in range(30))
    said = refused(tmp_path, text)
    assert said.splitlines()[-1].strip().startswith("and ") and len(said.splitlines()) == grid.NAMED + 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model = ", "/g.toml is no TOML: Invalid value (at end of document)."),
        (f"seed = {'9' * 5000}", "/g.toml is no TOML: Exceeds the limit"),
        (f"seed = {'[' * 20000}", "/g.toml is no TOML: "),
        ("grid = 3", "/g.toml: grid is no list of tables. Write [[grid]] above each."),
        (
            f"seed = {list(range(400))}\nfloor = {list(range(400))}",
            "line 1: the lists make 160,000 points; 100,000 are the most.",
        ),
    ],
)
def test_what_is_no_grid(tmp_path, text, said):
    assert said in refused(tmp_path, text)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match=r"none\.toml cannot be read"):
        read_grid(tmp_path / "none.toml", trust=True)
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(UsageError, match=r"pipe\.toml cannot be read: .*it is a pipe or a device"):
        read_grid(tmp_path / "pipe.toml", trust=True)


def test_too_many_points_of_several_grids(tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "MOST", 3)
    text = "\n".join(['model = "m:f"\ntarget = "unit:8"\nbudget = "macs=50%"', *["[[grid]]\nseed = [0, 1]"] * 2])
    assert "/g.toml makes 4 points; 3 are the most. Split it." in refused(tmp_path, text)


def test_a_point_says_what_differs_from_the_defaults_and_its_command(tmp_path):
    point = point_of({"model": "m:f", "target": "unit:8", "budget": "macs=50%", "int8": True, "freeze": ["a", "b c"]})
    assert point == Point(model="m:f", target="unit:8", budget=("macs=50%",), int8=True, freeze=("a", "b c"))
    assert point.said == {
        "model": "m:f", "target": "unit:8", "budget": ["macs=50%"], "int8": True, "freeze": ["a", "b c"],
    }  # fmt: skip
    assert point_of(point.said) == point
    assert point.command(tmp_path / "o") == (
        f"padless prune m:f --target unit:8 --budget macs=50% --freeze a --freeze 'b c' --int8 --out {tmp_path}/o"
    )


def test_options_of_fine_tuning_are_checked():
    given = {"model": "m:f", "target": "unit:8", "budget": "macs=50%"}
    with pytest.raises(UsageError, match="finetune has no 'epoch'. Did you mean epochs?"):
        point_of({**given, "finetune": {"epoch": 3}}).recipe()
    with pytest.raises(UsageError, match=r"finetune\.epochs: Input should be a valid integer"):
        point_of({**given, "finetune": {"epochs": "many"}}).recipe()
    with pytest.raises(UsageError, match="A recipe's epochs is from 1 to 1,000,000; got 0"):
        point_of({**given, "finetune": {"epochs": 0}}).recipe()
    assert point_of(given).recipe() is None


def test_a_point_with_several_mistakes_names_all():
    with pytest.raises(UsageError, match=r"target is missing; budget is missing; there is no option 'colour'"):
        point_of({"model": "m:f", "colour": 1})
