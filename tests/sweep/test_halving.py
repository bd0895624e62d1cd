"""Which points go on, and which stop."""

from padless.sweep.halving import Contest, contests, standing
from padless.sweep.point import point_of


def point(**options):
    given = {"model": "m:f", "target": "unit:8", "budget": "macs=50%", "data": "digits", "finetune": {"epochs": 8}}
    return point_of({**given, **options})


def test_points_of_one_question_are_rivals():
    points = {
        "a": point(seed=0), "b": point(importance="l1"), "c": point(budget="macs=25%"), "d": point(finetune={"epochs": 4}),
        "e": point(finetune={"epochs": 4, "lr": 0.1}), "f": point(finetune=None), "g": point(target="unit:16"),
        "h": point(finetune={"epochs": 1}), "i": point(finetune={"epochs": 1, "lr": 1.0}),
    }  # fmt: skip
    assert contests(points) == [Contest(("a", "b"), (2, 4)), Contest(("d", "e"), (1, 2))]


def test_the_worse_half_stops_at_each_pause():
    contest = Contest(("a", "b", "c", "d", "e"), (2, 4))
    assert standing(contest, {}, []) == ([(id, 2) for id in "abcde"], {})
    scores = {("a", 2): 50.0, ("b", 2): 70.0, ("c", 2): 60.0, ("d", 2): 70.0}
    assert standing(contest, scores, []) == ([("e", 2)], {})
    following, stopped = standing(contest, {**scores, ("e", 2): 10.0}, [])
    assert following == [("b", 4), ("d", 4), ("c", 4)]
    assert stopped == {
        "a": {"epoch": 2, "held_out_accuracy": 50.0, "place": 4, "of": 5, "last_to_go_on": 60.0},
        "e": {"epoch": 2, "held_out_accuracy": 10.0, "place": 5, "of": 5, "last_to_go_on": 60.0},
    }
    later = {**scores, ("e", 2): 10.0, ("b", 4): 71.0, ("d", 4): 80.0, ("c", 4): 60.0}
    following, stopped = standing(contest, later, [])
    assert following == [("d", None), ("b", None)] and set(stopped) == {"a", "e", "c"}


def test_a_point_that_cannot_be_done_takes_no_place():
    contest = Contest(("a", "b", "c"), (2,))
    scores = {("a", 2): 50.0, ("b", 2): 60.0}
    assert standing(contest, scores, []) == ([("c", 2)], {})
    following, stopped = standing(contest, scores, ["c"])
    assert following == [("b", None)] and set(stopped) == {"a"}
