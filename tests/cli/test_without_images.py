"""Options of `padless prune` that are for images, where there are none."""

import pytest

ASK = ("prune", "models.networks:Small", "--target", "unit:8", "--budget", "macs=60%", "--out", "run")


@pytest.mark.parametrize(
    ("options", "told"),
    [(("--recover", "mix"), "--recover has no effect without --data: nothing is recovered."),
     (("--calibration", "64"), "--calibration has no effect without --data"),
     (("--recover", "bn", "--calibration", "64"), "--recover and --calibration have no effect without --data"),
     (("--recover", "none"), None), ((), None)],
)  # fmt: skip
def test_options_without_effect_say_so(run, options, told):
    code, _, err = run(*ASK, *options)
    assert code == 0, err
    assert (told in " ".join(err.split())) if told else ("no effect" not in err)
