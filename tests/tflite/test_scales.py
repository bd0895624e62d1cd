"""Which activations share a scale."""

import numpy as np
import pytest

from padless.tflite import Lowered, Port
from padless.tflite.file import Tensor, TFLiteBuilder
from padless.tflite.layout import Layout
from padless.tflite.scales import Scales


def network(*operators, tensors=6, outputs=()):
    builder = TFLiteBuilder([Tensor(name=str(i), shape=(1, 2, 2, 4)) for i in range(tensors)])
    for code, inputs, out in operators:
        builder.operator(code, inputs, [out])
    return Lowered(builder=builder, inputs=(), outputs=tuple(map(port, outputs)))


def port(tensor):
    return Port(name="output", shape=(1, 2, 2, 4), tensor=tensor, layout=Layout.of((1, 2, 2, 4)))


def test_a_scale_holds_the_range_and_zero_exactly():
    scales = Scales(network(), {0: (0.0, 2.55), 1: (-1.0, 1.55), 2: (0.0, 0.0)}, 8)
    assert scales.of(0) == (pytest.approx(0.01), -128)
    scale, zero = scales.of(1)
    assert scale * (-128 - zero) == pytest.approx(-1.0, abs=scale / 2) and scale == pytest.approx(0.01)
    assert scales.of(2)[0] > 0


def test_sixteen_bits_are_symmetric():
    assert Scales(network(), {0: (-3.2767, 1.0)}, 16).of(0) == (pytest.approx(1e-4), 0)


def test_what_only_moves_numbers_keeps_their_scale():
    builder = network(("RESHAPE", [0], 1), ("MAX_POOL_2D", [1], 2), ("ADD", [2], 3))
    scales = Scales(builder, {0: (-1.0, 4.0), 1: (-1.0, 4.0), 2: (0.0, 4.0), 3: (0.0, 9.0)}, 8)
    assert scales.of(0) == scales.of(1) == scales.of(2) != scales.of(3)


def test_parts_of_a_concatenation_are_joined_within_a_factor_of_two():
    builder = network(("CONCATENATION", [0, 1, 2], 3))
    scales = Scales(builder, {0: (0.0, 10.0), 1: (0.0, 6.0), 2: (0.0, 1.0), 3: (0.0, 10.0)}, 8)
    assert scales.of(0) == scales.of(1) == scales.of(3)
    assert scales.of(2) == (pytest.approx(1 / 255), -128)


def test_a_chain_of_concatenations_widens_no_part_more_than_twice():
    """Each step is less than a factor of two; together they would be more."""
    builder = network(("CONCATENATION", [0, 1], 2), ("CONCATENATION", [2, 3], 4))
    scales = Scales(builder, {0: (0.0, 4.0), 1: (0.0, 7.0), 2: (0.0, 7.0), 3: (0.0, 13.0), 4: (0.0, 13.0)}, 8)
    assert scales.of(0) == scales.of(2) == (pytest.approx(7 / 255), -128)
    assert scales.of(3) == scales.of(4) == (pytest.approx(13 / 255), -128)


def test_what_the_runtime_insists_on_spreads_to_what_only_moves():
    builder = network(("LOGISTIC", [0], 1), ("RESHAPE", [1], 2), ("TANH", [0], 3))
    ranges = {0: (-4.0, 4.0), 1: (0.1, 0.9), 2: (0.1, 0.9), 3: (-0.9, 0.9)}
    scales = Scales(builder, ranges, 8)
    assert scales.of(1) == scales.of(2) == (1 / 256, -128)
    assert scales.of(3) == (1 / 128, 0)
    assert Scales(builder, ranges, 16).of(2) == (1 / 32768, 0)


def test_a_fixed_scale_is_not_forced_on_larger_numbers():
    builder = network(("LOGISTIC", [0], 1), ("MAXIMUM", [1, 2], 3))
    scales = Scales(builder, {0: (-4.0, 4.0), 1: (0.0, 1.0), 2: (0.0, 5.0), 3: (0.0, 5.0)}, 8)
    assert scales.of(1) == (1 / 256, -128)
    assert scales.of(2) == scales.of(3) == (pytest.approx(5 / 255), -128)


def clamped(outputs=()):
    """0 -> (bound 1) MAXIMUM -> 2 -> (bound 3) MINIMUM -> 4, of a wide activation."""
    lowered = network(("MAXIMUM", [0, 1], 2), ("MINIMUM", [2, 3], 4), outputs=outputs)
    for constant in (1, 3):
        lowered.builder.tensors[constant] = Tensor(name="bound", shape=(1,), data=np.zeros(1))
    return Scales(lowered, {0: (-90.0, 110.0), 2: (0.0, 110.0), 4: (0.0, 1.0)}, 8)


def test_what_only_a_clamp_reads_saturates_where_the_clamp_does():
    scales = clamped()
    assert scales.of(0) == scales.of(2) == scales.of(4) == (pytest.approx(1 / 255), -128)


def test_an_output_behind_which_stands_a_clamp_keeps_its_own_scale():
    scales = clamped(outputs=(0,))
    assert scales.of(0)[0] == pytest.approx(200 / 255) and scales.of(2) == scales.of(4) == (
        pytest.approx(1 / 255),
        -128,
    )
