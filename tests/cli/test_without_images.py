"""Options of `padless prune` that are for images, where there are none."""

import numpy as np
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


def test_plan_refuses_preprocess_without_images(run):
    code, _, err = run(
        "plan",
        "models.networks:Small",
        "--target",
        "unit:8",
        "--quantity",
        "macs",
        "--preprocess",
        "bgr",
        "--input-shape",
        "1,3,16,16",
    )
    assert code == 2 and "--preprocess is for images. Give --data, or leave it out." in err


def test_a_network_that_only_outputs_set_free_is_pruned_with_images(run, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(12, 3, 8, 8)).astype(np.float32))
    ask = ("prune", "models.networks:Two", "--input-shape", "1,3,8,8", "--target", "unit:4", "--budget", "macs=70%")
    code, _, err = run(*ask, "--data", "x.npy", "--out", "run", "--outputs", "1")
    assert code == 0, err
    code, _, err = run(*ask, "--data", "x.npy", "--out", "run")
    assert code == 2 and "first, second: output of the network" in err
