"""The catalogue, against numbers worked by hand from its sources."""

import contextlib
import io
import re

import pytest
from layers import layer

from padless.cost import padding
from padless.hardware import Target, load_target, targets
from padless.hardware.facts import _look_up
from padless.hardware.target import CATALOGUE

P = 16 * 16  # output pixels of each layer below
WIDE, POINTWISE = layer(33, 40), layer(33, 40, kernel=1)
DEPTHWISE = layer(20, 20, kind="depthwise", groups=20)

# Padded MACs = pixels x kernel elements x inputs rounded up x outputs rounded up, of: a 3x3 layer of 33 to 40 channels,
# a 1x1 layer of 33 to 40, a 3x3 depthwise layer of 20. Where no source states a unit, nothing is rounded; a depthwise
# unit that no source states is the output unit.
GOLDEN = {
    "adi-max78000": (P * 9 * 64 * 40, P * 64 * 40, P * 9 * 20),
    "adi-max78002": (P * 9 * 64 * 40, P * 64 * 40, P * 9 * 20),
    "amd-dpucahx8h": (P * 9 * 48 * 48, P * 48 * 48, P * 9 * 32),
    "amd-dpucvdx8g": (P * 9 * 48 * 40, P * 48 * 40, P * 9 * 20),
    "amd-dpucvdx8h": (P * 9 * 64 * 64, P * 64 * 64, P * 9 * 64),
    "amd-dpuczdx8g-b1024": (P * 9 * 40 * 40, P * 40 * 40, P * 9 * 24),
    "amd-dpuczdx8g-b1152": (P * 9 * 36 * 48, P * 36 * 48, P * 9 * 24),
    "amd-dpuczdx8g-b1600": (P * 9 * 40 * 40, P * 40 * 40, P * 9 * 20),
    "amd-dpuczdx8g-b2304": (P * 9 * 36 * 48, P * 36 * 48, P * 9 * 24),
    "amd-dpuczdx8g-b3136": (P * 9 * 42 * 42, P * 42 * 42, P * 9 * 28),
    "amd-dpuczdx8g-b4096": (P * 9 * 48 * 48, P * 48 * 48, P * 9 * 32),
    "amd-dpuczdx8g-b512": (P * 9 * 40 * 40, P * 40 * 40, P * 9 * 24),
    "amd-dpuczdx8g-b800": (P * 9 * 40 * 40, P * 40 * 40, P * 9 * 20),
    "amd-xdna-iron": (P * 9 * 40 * 40, P * 40 * 40, P * 9 * 24),
    "axis-artpec-8": (P * 9 * 33 * 42, P * 33 * 42, P * 9 * 24),
    "axis-artpec-9": (P * 9 * 48 * 48, P * 48 * 48, P * 9 * 32),
    "ethos-n78-1tops": (P * 9 * 40 * 40, P * 40 * 40, P * 9 * 24),
    "ethos-n78-2tops": (P * 9 * 40 * 48, P * 40 * 48, P * 9 * 24),
    "ethos-n78-4tops-2ple": (P * 9 * 48 * 48, P * 48 * 48, P * 9 * 32),
    "ethos-n78-4tops-4ple": (P * 9 * 48 * 48, P * 48 * 48, P * 9 * 32),
    "ethos-n78-8tops": (P * 9 * 48 * 64, P * 48 * 64, P * 9 * 32),
    "ethos-u55-128": (P * 9 * 64 * 40, P * 64 * 40, P * 9 * 24),
    "ethos-u55-256": (P * 9 * 64 * 40, P * 64 * 40, P * 9 * 24),
    "ethos-u55-32": (P * 9 * 64 * 40, P * 64 * 40, P * 9 * 20),
    "ethos-u55-64": (P * 9 * 64 * 40, P * 64 * 40, P * 9 * 24),
    "ethos-u65-256": (P * 9 * 64 * 40, P * 64 * 40, P * 9 * 24),
    "ethos-u65-512": (P * 9 * 64 * 48, P * 64 * 48, P * 9 * 32),
    "ethos-u85-1024": (P * 9 * 48 * 48, P * 64 * 48, P * 9 * 32),
    "ethos-u85-128": (P * 9 * 48 * 40, P * 64 * 40, P * 9 * 32),
    "ethos-u85-2048": (P * 9 * 48 * 48, P * 64 * 48, P * 9 * 32),
    "ethos-u85-256": (P * 9 * 48 * 40, P * 64 * 40, P * 9 * 32),
    "ethos-u85-512": (P * 9 * 48 * 48, P * 64 * 48, P * 9 * 32),
    "gemmini-16": (P * 9 * 48 * 48, P * 48 * 48, P * 9 * 32),
    "google-tpu-v1": (P * 9 * 256 * 256, P * 256 * 256, P * 9 * 256),
    "hexagon-htp": (P * 9 * 64 * 64, P * 64 * 64, P * 9 * 32),
    "huawei-ascend-davinci": (P * 9 * 64 * 48, P * 64 * 48, P * 9 * 32),
    "intel-npu-3720": (P * 9 * 48 * 48, P * 48 * 48, P * 9 * 32),
    "intel-npu-4000": (P * 9 * 48 * 48, P * 48 * 48, P * 9 * 32),
    "nvdla-full": (P * 9 * 64 * 64, P * 64 * 64, P * 9 * 32),
    "nvdla-large": (P * 9 * 64 * 64, P * 64 * 64, P * 9 * 32),
    "nvdla-medium-1024": (P * 9 * 64 * 64, P * 64 * 64, P * 9 * 32),
    "nvdla-medium-512": (P * 9 * 64 * 48, P * 64 * 48, P * 9 * 32),
    "nvdla-small": (P * 9 * 40 * 40, P * 40 * 40, P * 9 * 24),
    "nvdla-small-256": (P * 9 * 64 * 40, P * 64 * 40, P * 9 * 24),
    "pulp-ne16": (P * 9 * 48 * 64, P * 48 * 64, P * 9 * 32),
    "rockchip-rk3588": (P * 9 * 64 * 64, P * 64 * 64, P * 9 * 64),
    "rockchip-rv1103": (P * 9 * 48 * 48, P * 48 * 48, P * 9 * 32),
    "sony-imx500": (P * 9 * 33 * 64, P * 33 * 64, P * 9 * 32),
    "sophgo-bm1684x": (P * 9 * 64 * 64, P * 64 * 64, P * 9 * 64),
    "sophgo-bm1688": (P * 9 * 64 * 64, P * 64 * 64, P * 9 * 32),
    "ti-tinpu": (P * 9 * 36 * 40, P * 36 * 40, P * 9 * 20),
    "verisilicon-vipnano-6": (P * 9 * 33 * 42, P * 33 * 42, P * 9 * 24),
    "verisilicon-vipnano-8": (P * 9 * 33 * 40, P * 33 * 40, P * 9 * 24),
    # Other precisions, where the unit is another.
    "huawei-ascend-davinci@fp16": (P * 9 * 48 * 48, P * 48 * 48, P * 9 * 32),
    "intel-npu-4000@fp16": (P * 9 * 48 * 48, P * 48 * 48, P * 9 * 32),
    "intel-npu-4000@int4": (P * 9 * 64 * 64, P * 64 * 64, P * 9 * 32),
    "nvdla-full@fp16": (P * 9 * 64 * 48, P * 64 * 48, P * 9 * 32),
    "nvdla-full@int16": (P * 9 * 64 * 48, P * 64 * 48, P * 9 * 32),
    "sony-imx500@int8w2": (P * 9 * 33 * 128, P * 33 * 128, P * 9 * 128),
    "sony-imx500@int8w4": (P * 9 * 33 * 64, P * 33 * 64, P * 9 * 64),
    "sophgo-bm1684x@fp16": (P * 9 * 64 * 64, P * 64 * 64, P * 9 * 64),
    "sophgo-bm1688@fp16": (P * 9 * 48 * 64, P * 48 * 64, P * 9 * 32),
    "ethos-u55-256@int16w8": (P * 9 * 48 * 40, P * 48 * 40, P * 9 * 24),
    "ethos-u65-512@int16w8": (P * 9 * 48 * 48, P * 48 * 48, P * 9 * 32),
}
IDS = sorted(id for id in GOLDEN if "@" not in id)

# MACs a cycle (of all cores), the memory block in channels, the default clock. None: no source states it.
RATES = {
    "adi-max78000": (64 * 9, 4, 50_000_000),
    "adi-max78002": (64 * 9, 4, 200_000_000),
    "amd-dpuczdx8g-b1152": (4 * 12 * 12, 1, None),
    "amd-dpuczdx8g-b4096": (4096 // 2, 1, None),
    "amd-dpuczdx8g-b800": (800 // 2, 1, None),
    "amd-xdna-iron": (4 * 8 * 8, 8, None),
    "axis-artpec-8": (None, 1, None),
    "ethos-n78-1tops": (8 * 8 * 8, 16, None),
    "ethos-n78-8tops": (16 * 8 * 32, 16, None),
    "ethos-u55-32": (4 * 8, 16, 500_000_000),
    "ethos-u65-512": (2 * 256, 16, 1_000_000_000),
    "ethos-u85-2048": (2048, 16, 1_000_000_000),
    "gemmini-16": (16 * 16, 16, None),
    "google-tpu-v1": (256 * 256, 1, 700_000_000),
    "hexagon-htp": (None, 32, None),
    "huawei-ascend-davinci": (8192, 32, None),
    "huawei-ascend-davinci@fp16": (16 * 16 * 16, 16, None),
    "intel-npu-3720": (2 * 2048, 16, 1_300_000_000),
    "intel-npu-4000": (6 * 2048, 16, 1_700_000_000),
    "intel-npu-4000@fp16": (6 * 1024, 16, 1_700_000_000),
    "nvdla-full": (64 * 32, 32, None),
    "nvdla-full@fp16": (64 * 16, 16, None),
    "nvdla-small": (8 * 8, 8, None),
    "nvdla-medium-512": (32 * 16, 16, None),
    "pulp-ne16": (9 * 9 * 16 // 8, 1, None),
    "rockchip-rk3588": (1024, 16, 1_000_000_000),
    "sony-imx500": (None, 1, None),
    "sophgo-bm1684x": (None, 64, None),
    "ti-tinpu": (None, 1, None),
    "verisilicon-vipnano-6": (6 * 64, 1, None),
}


def test_the_catalogue_is_complete_and_sorted():
    assert [target.id for target in targets()] == IDS
    assert {path.stem for path in CATALOGUE.glob("*.toml")} == set(IDS)
    assert len(IDS) >= 45


@pytest.mark.parametrize("id", GOLDEN)
def test_padded_macs(id: str):
    target = load_target(id)
    assert tuple(padding(each, target).padded_macs for each in (WIDE, POINTWISE, DEPTHWISE)) == GOLDEN[id]


@pytest.mark.parametrize("id", RATES)
def test_rate_block_and_clock(id: str):
    target = load_target(id)
    assert (target.active.macs_per_cycle, target.block, target.system.clock_hz) == RATES[id]


@pytest.mark.parametrize("target", targets(), ids=IDS)
def test_one_fact_a_value(target: Target):
    """Each fact is about one number, array or rule; each has a public source; none is there twice."""
    stated = target.model_dump(mode="json", by_alias=True, exclude_unset=True)
    fields = [fact.field for fact in target.facts]
    assert len(fields) == len(set(fields))
    for fact in target.facts:
        whole = fact.field.endswith(".array") or re.search(r"\.rule\.\d+$", fact.field)
        assert whole or not isinstance(_look_up(stated, fact.field), dict), fact.field
        assert re.match(r"https://|pypi:", fact.source), fact.field
        assert len(fact.locator) > 5 and fact.confidence != "given"


@pytest.mark.parametrize("target", targets(), ids=IDS)
def test_what_is_not_stated_is_listed_as_unknown(target: Target):
    def listed(path: str) -> bool:
        return any(path == u or path.startswith(f"{u}.") for u in target.unknown)

    for precision, compute in target.compute.items():
        for field in ("macs_per_cycle", "input_unit", "output_unit", "depthwise_unit"):
            assert getattr(compute, field) or listed(f"compute.{precision}.{field}"), f"{precision}.{field}"
    assert target.block > 1 or target.memory.channel_block or listed("memory.channel_block")
    assert target.systems or listed("system")


@pytest.mark.parametrize("id", [id for id in IDS if re.match("ethos-u", id)])
def test_ethos_u_agrees_with_vela(id: str):
    features = pytest.importorskip("ethosu.vela.architecture_features", reason="the extra vela is not installed")
    target = load_target(id)
    assert target.vela is not None

    def architecture(system: str, mode: str):
        with contextlib.redirect_stdout(io.StringIO()):  # it warns that it uses its defaults
            return features.ArchitectureFeatures(
                vela_config_files=None,
                system_config=system,
                memory_mode=mode,
                accelerator_config=target.vela.accelerator,
                max_blockdep=3,
                verbose_config=False,
                arena_cache_size=None,
            )

    vela = architecture("internal-default", "internal-default")
    assert (vela.system_config, vela.memory_mode) == (target.vela.system_config, target.vela.memory_mode)
    assert vela.num_macs_per_cycle * (target.active.cores or 1) == target.active.macs_per_cycle
    assert next(iter(target.systems)) == vela.system_config
    for name, system in target.systems.items():
        vela = architecture(name, "Shared_Sram" if system.flash_bytes_per_cycle else "Dedicated_Sram")
        bandwidth = vela.memory_bandwidths_per_cycle
        assert vela.core_clock == system.clock_hz
        assert bandwidth[features.MemArea.Sram] == system.sram_bytes_per_cycle
        if system.dram_bytes_per_cycle is None:
            assert bandwidth[features.MemArea.OffChipFlash] == system.flash_bytes_per_cycle
        else:
            assert bandwidth[features.MemArea.Dram] == system.dram_bytes_per_cycle
