"""A plan is data: written, read, and refused."""

import dataclasses
import json

import pytest
import torch
from models.networks import small

from padless import Plan, plan, prune, trace
from padless.errors import UsageError

X = torch.zeros(1, 3, 16, 16)


def test_a_plan_is_json_and_back():
    made = plan(small(), X, target="unit:8", budget="macs=50%")
    assert Plan.from_json(made.to_json()) == made
    assert json.loads(made.to_json())["keep"]["head"] == [0, 1, 2, 3]
    assert plan(small(), X, target="unit:8", budget="macs=50%").keep.keys() == made.keep.keys()


def test_bad_plans(tmp_path):
    model = small()
    made = plan(model, X, target="unit:8", budget="macs=50%")
    data = json.loads(made.to_json())
    with pytest.raises(
        UsageError, match="plan.json is not a padless plan: keep.stem.0: Input should be a valid integer"
    ):
        Plan.from_json(json.dumps({**data, "keep": {"stem": ["x"]}}), where="plan.json")
    with pytest.raises(UsageError, match="not a padless plan: extra: Unexpected"):
        Plan.from_json(json.dumps({**data, "extra": 1}))
    with pytest.raises(UsageError, match="not a padless plan: the file: Invalid JSON"):
        Plan.from_json("{")
    with pytest.raises(UsageError, match="No plan at .*plan.json .No such file or directory.. Give the folder"):
        Plan.read(tmp_path / "plan.json")
    graph = trace(model, X)
    for kept in ([3, 2], [0, 0], [-1], [16]):
        with pytest.raises(UsageError, match=r"keeps .* of group stem; expected ascending indices from 0 to 15"):
            dataclasses.replace(made, keep={**made.keep, "stem": kept}).mask(graph)
    left_out = {id: kept for id, kept in made.keep.items() if id != "stem"}
    with pytest.raises(UsageError, match="says nothing of group stem"):
        dataclasses.replace(made, keep=left_out).mask(graph)
    with pytest.raises(
        UsageError, match=r"No channel is kept of stem, which must keep some: an output would not depend"
    ):
        prune(model, dataclasses.replace(made, keep={**made.keep, "stem": []}))
    with pytest.raises(UsageError, match="cuts group head, which must stay: output of the network"):
        dataclasses.replace(made, keep={**made.keep, "head": [0]}).mask(graph)
