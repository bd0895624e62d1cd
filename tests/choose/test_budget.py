"""Budgets: what may be written."""

import pytest

from padless.choose import Budget
from padless.errors import UsageError


@pytest.mark.parametrize(
    ("text", "share", "absolute"),
    [("cycles=50%", 0.5, None), ("macs=0.5", 0.5, None), ("weight_bytes=300k", None, 300_000),
     (" padded_macs = 2M ", None, 2_000_000), ("cycles=100%", 1.0, None), ("npu_cycles=1500", None, 1500)],
)  # fmt: skip
def test_budgets(text, share, absolute):
    budget = Budget.parse(text)
    assert (budget.share, budget.absolute) == (share, absolute)
    assert str(budget) == text.replace(" ", "").replace("0.5", "50%").replace("300k", "300000").replace("2M", "2000000")


@pytest.mark.parametrize(
    ("text", "message"),
    [("half", "Cannot read the budget 'half'. Write QUANTITY=SHARE"), ("cycles=1.2.3%", "Cannot read the budget"),
     ("cycle=50%", "Unknown budget 'cycle'. Did you mean cycles"), ("flops=50%", "Unknown budget 'flops'"),
     ("macs=120%", "is not a share between 0 and 100 %"), ("macs=0%", "is not a share")],
)  # fmt: skip
def test_bad_budgets(text, message):
    with pytest.raises(UsageError, match=message):
        Budget.parse(text)
