"""The catalogue, against numbers worked by hand from its sources."""

import contextlib
import io
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from layers import layer

from padless.cost import padding
from padless.graph.structure import Layer
from padless.hardware import Target, load_target, targets
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
    "ethos-u55-32@int16w8": (P * 9 * 48 * 40, P * 48 * 40, P * 9 * 20),
    "ethos-u55-64@int16w8": (P * 9 * 48 * 40, P * 48 * 40, P * 9 * 24),
    "ethos-u55-128@int16w8": (P * 9 * 48 * 40, P * 48 * 40, P * 9 * 24),
    "ethos-u65-256@int16w8": (P * 9 * 48 * 40, P * 48 * 40, P * 9 * 24),
    "intel-npu-3720@fp16": (P * 9 * 48 * 48, P * 48 * 48, P * 9 * 32),
    "intel-npu-3720@int4": (P * 9 * 64 * 64, P * 64 * 64, P * 9 * 32),
}

# The units of the same three layers, (inputs, outputs), (inputs, outputs) and channels. They tell apart what the padded
# MACs cannot: 33 inputs fill 64 in units of 32 and of 64. 1: no source states it.
UNITS = {
    "adi-max78000": ((64, 1), (64, 1), 1),
    "adi-max78002": ((64, 1), (64, 1), 1),
    "amd-dpucahx8h": ((16, 16), (16, 16), 16),
    "amd-dpucvdx8g": ((16, 1), (16, 1), 1),
    "amd-dpucvdx8h": ((64, 64), (64, 64), 64),
    "amd-dpuczdx8g-b1024": ((8, 8), (8, 8), 8),
    "amd-dpuczdx8g-b1152": ((12, 12), (12, 12), 12),
    "amd-dpuczdx8g-b1600": ((10, 10), (10, 10), 10),
    "amd-dpuczdx8g-b2304": ((12, 12), (12, 12), 12),
    "amd-dpuczdx8g-b3136": ((14, 14), (14, 14), 14),
    "amd-dpuczdx8g-b4096": ((16, 16), (16, 16), 16),
    "amd-dpuczdx8g-b512": ((8, 8), (8, 8), 8),
    "amd-dpuczdx8g-b800": ((10, 10), (10, 10), 10),
    "amd-xdna-iron": ((8, 8), (8, 8), 8),
    "axis-artpec-8": ((1, 6), (1, 6), 6),
    "axis-artpec-9": ((16, 16), (16, 16), 16),
    "ethos-n78-1tops": ((8, 8), (8, 8), 8),
    "ethos-n78-2tops": ((8, 16), (8, 16), 8),
    "ethos-n78-4tops-2ple": ((16, 16), (16, 16), 16),
    "ethos-n78-4tops-4ple": ((16, 16), (16, 16), 16),
    "ethos-n78-8tops": ((16, 32), (16, 32), 16),
    "ethos-u55-128": ((32, 8), (32, 8), 8),
    "ethos-u55-256": ((32, 8), (32, 8), 8),
    "ethos-u55-32": ((32, 4), (32, 4), 4),
    "ethos-u55-64": ((32, 8), (32, 8), 8),
    "ethos-u65-256": ((32, 8), (32, 8), 8),
    "ethos-u65-512": ((32, 16), (32, 16), 16),
    "ethos-u85-1024": ((16, 16), (64, 16), 16),
    "ethos-u85-128": ((16, 8), (64, 8), 16),
    "ethos-u85-2048": ((16, 16), (64, 16), 16),
    "ethos-u85-256": ((16, 8), (64, 8), 16),
    "ethos-u85-512": ((16, 16), (64, 16), 16),
    "gemmini-16": ((16, 16), (16, 16), 16),
    "google-tpu-v1": ((256, 256), (256, 256), 256),
    "hexagon-htp": ((32, 32), (32, 32), 32),
    "huawei-ascend-davinci": ((32, 16), (32, 16), 16),
    "intel-npu-3720": ((16, 16), (16, 16), 16),
    "intel-npu-4000": ((16, 16), (16, 16), 16),
    "nvdla-full": ((64, 32), (64, 32), 32),
    "nvdla-large": ((64, 32), (64, 32), 32),
    "nvdla-medium-1024": ((32, 32), (32, 32), 32),
    "nvdla-medium-512": ((32, 16), (32, 16), 16),
    "nvdla-small": ((8, 8), (8, 8), 8),
    "nvdla-small-256": ((32, 8), (32, 8), 8),
    "pulp-ne16": ((16, 32), (16, 32), 32),
    "rockchip-rk3588": ((32, 32), (32, 32), 64),
    "rockchip-rv1103": ((16, 16), (16, 16), 16),
    "sony-imx500": ((1, 32), (1, 32), 32),
    "sophgo-bm1684x": ((64, 64), (64, 64), 64),
    "sophgo-bm1688": ((32, 32), (32, 32), 32),
    "ti-tinpu": ((4, 4), (4, 4), 4),
    "verisilicon-vipnano-6": ((1, 6), (1, 6), 6),
    "verisilicon-vipnano-8": ((1, 8), (1, 8), 8),
    "huawei-ascend-davinci@fp16": ((16, 16), (16, 16), 16),
    "intel-npu-4000@fp16": ((16, 16), (16, 16), 16),
    "intel-npu-4000@int4": ((32, 32), (32, 32), 32),
    "nvdla-full@fp16": ((64, 16), (64, 16), 16),
    "nvdla-full@int16": ((64, 16), (64, 16), 16),
    "sony-imx500@int8w2": ((1, 128), (1, 128), 128),
    "sony-imx500@int8w4": ((1, 64), (1, 64), 64),
    "sophgo-bm1684x@fp16": ((32, 64), (32, 64), 64),
    "sophgo-bm1688@fp16": ((16, 32), (16, 32), 32),
    "ethos-u55-256@int16w8": ((16, 8), (16, 8), 8),
    "ethos-u65-512@int16w8": ((16, 16), (16, 16), 16),
    "ethos-u55-32@int16w8": ((16, 4), (16, 4), 4),
    "ethos-u55-64@int16w8": ((16, 8), (16, 8), 8),
    "ethos-u55-128@int16w8": ((16, 8), (16, 8), 8),
    "ethos-u65-256@int16w8": ((16, 8), (16, 8), 8),
    "intel-npu-3720@fp16": ((16, 16), (16, 16), 16),
    "intel-npu-3720@int4": ((32, 32), (32, 32), 32),
}
IDS = sorted(id for id in GOLDEN if "@" not in id)
MHZ = 1_000_000

# MACs a cycle (of all cores), the memory block in channels, the default clock. None: no source states it.
RATES = {
    "adi-max78000": (64 * 9, 4, 50 * MHZ),
    "adi-max78002": (64 * 9, 4, 200 * MHZ),
    "amd-dpucahx8h": (None, 1, None),
    "amd-dpucvdx8g": (None, 1, None),
    "amd-dpucvdx8h": (None, 1, None),
    "amd-dpuczdx8g-b1024": (8 * 8 * 8, 1, None),
    "amd-dpuczdx8g-b1152": (4 * 12 * 12, 1, None),
    "amd-dpuczdx8g-b1600": (8 * 10 * 10, 1, None),
    "amd-dpuczdx8g-b2304": (8 * 12 * 12, 1, None),
    "amd-dpuczdx8g-b3136": (8 * 14 * 14, 1, None),
    "amd-dpuczdx8g-b4096": (8 * 16 * 16, 1, None),
    "amd-dpuczdx8g-b512": (4 * 8 * 8, 1, None),
    "amd-dpuczdx8g-b800": (4 * 10 * 10, 1, None),
    "amd-xdna-iron": (4 * 8 * 8, 8, None),
    "axis-artpec-8": (None, 1, None),
    "axis-artpec-9": (None, 1, None),
    "ethos-n78-1tops": (8 * 8 * 8, 16, None),
    "ethos-n78-2tops": (8 * 8 * 16, 16, None),
    "ethos-n78-4tops-2ple": (16 * 8 * 16, 16, None),
    "ethos-n78-4tops-4ple": (16 * 8 * 16, 16, None),
    "ethos-n78-8tops": (16 * 8 * 32, 16, None),
    "ethos-u55-128": (1 * 2 * 8 * 8, 16, 500 * MHZ),
    "ethos-u55-256": (2 * 2 * 8 * 8, 16, 500 * MHZ),
    "ethos-u55-32": (1 * 1 * 4 * 8, 16, 500 * MHZ),
    "ethos-u55-64": (1 * 1 * 8 * 8, 16, 500 * MHZ),
    "ethos-u65-256": (2 * 2 * 8 * 8, 16, 1000 * MHZ),
    "ethos-u65-512": (2 * 256, 16, 1000 * MHZ),
    "ethos-u85-1024": (2 * 2 * 32 * 8, 16, 1000 * MHZ),
    "ethos-u85-128": (1 * 2 * 8 * 8, 16, 1000 * MHZ),
    "ethos-u85-2048": (2 * 2 * 64 * 8, 16, 1000 * MHZ),
    "ethos-u85-256": (2 * 2 * 8 * 8, 16, 1000 * MHZ),
    "ethos-u85-512": (2 * 2 * 16 * 8, 16, 1000 * MHZ),
    "gemmini-16": (16 * 16, 16, None),
    "google-tpu-v1": (256 * 256, 1, 700 * MHZ),
    "hexagon-htp": (None, 32, None),
    "huawei-ascend-davinci": (16 * 32 * 16, 32 // 1, None),
    "intel-npu-3720": (2 * 2048, 16, 1300 * MHZ),
    "intel-npu-4000": (6 * 2048, 16, 1700 * MHZ),
    "nvdla-full": (64 * 32, 32 // 1, None),
    "nvdla-large": (64 * 32, 32, None),
    "nvdla-medium-1024": (32 * 32, 32, None),
    "nvdla-medium-512": (32 * 16, 16, None),
    "nvdla-small": (8 * 8, 8, None),
    "nvdla-small-256": (32 * 8, 8, None),
    "pulp-ne16": (9 * 9 * 16 // 8, 1, None),
    "rockchip-rk3588": (1024, 16, 1000 * MHZ),
    "rockchip-rv1103": (None, 16, None),
    "sony-imx500": (None, 1, None),
    "sophgo-bm1684x": (None, 64, None),
    "sophgo-bm1688": (None, 32, None),
    "ti-tinpu": (None, 1, None),
    "verisilicon-vipnano-6": (6 * 64, 1, None),
    "verisilicon-vipnano-8": (8 * 64, 1, None),
    "ethos-u55-256@int16w8": (None, 16, 500 * MHZ),
    "huawei-ascend-davinci@fp16": (16 * 16 * 16, 32 // 2, None),
    "intel-npu-3720@fp16": (2 * 1024, 16, 1300 * MHZ),
    "intel-npu-4000@fp16": (6 * 1024, 16, 1700 * MHZ),
    "intel-npu-4000@int4": (None, 16, 1700 * MHZ),
    "nvdla-full@fp16": (64 * 16, 32 // 2, None),
    "nvdla-full@int16": (64 * 16, 32 // 2, None),
    "sony-imx500@int8w4": (None, 1, None),
    "sophgo-bm1684x@fp16": (None, 64, None),
}

KIB = 1024
# Every other number that a file states but for the systems of Ethos-U, which test_ethos_u_agrees_with_vela has.
OTHERS = {
    "adi-max78000": {
        "memory.weight_bytes": 432 * KIB,
        "memory.activation_bytes": 512 * KIB,
        "limits.max_input_channels": 1024,
        "limits.max_output_channels": 1024,
    },
    "adi-max78002": {
        "memory.weight_bytes": 2340 * KIB,
        "memory.activation_bytes": 1280 * KIB,
        "limits.max_input_channels": 2048,
        "limits.max_output_channels": 2048,
    },
    "amd-dpucahx8h": {"limits.max_output_channels": 256 * 16, "limits.max_kernel_blocks": 2048},
    "amd-dpucvdx8h": {"limits.max_output_channels": 256 * 64, "limits.max_kernel_blocks": 256},
    "ethos-n78-1tops": {"memory.internal_bytes": 448 * KIB, "weights.align_bytes": 16},
    "ethos-n78-2tops": {"memory.internal_bytes": 768 * KIB, "weights.align_bytes": 16},
    "ethos-n78-4tops-2ple": {"memory.internal_bytes": 1024 * KIB, "weights.align_bytes": 16},
    "ethos-n78-4tops-4ple": {"memory.internal_bytes": 1024 * KIB, "weights.align_bytes": 16},
    "ethos-n78-8tops": {"memory.internal_bytes": 2048 * KIB, "weights.align_bytes": 16},
    "ethos-u55-32": {"memory.internal_bytes": 16 * KIB},
    "ethos-u55-64": {"memory.internal_bytes": 16 * KIB},
    "ethos-u55-128": {"memory.internal_bytes": 24 * KIB},
    "ethos-u55-256": {"memory.internal_bytes": 48 * KIB},
    "ethos-u65-256": {"memory.internal_bytes": 48 * KIB},
    "ethos-u65-512": {"memory.internal_bytes": 2 * 48 * KIB, "compute.int8.cores": 2},
    "gemmini-16": {"memory.internal_bytes": (256 + 64) * KIB},
    "google-tpu-v1": {
        "memory.internal_bytes": 28 * 1024 * KIB,
        "system.tpu.tops": 92.0,
        "system.tpu.dram_bytes_per_cycle": 48.6,  # 34 GB/s at 700 MHz
    },
    "intel-npu-3720": {
        "compute.int8.cores": 2,
        "compute.fp16.cores": 2,
        "compute.int8.depthwise_macs_per_cycle": 2 * 2048 // 8,
        "memory.internal_bytes": 2 * 1936 * KIB,
        "limits.max_dimension": 8192,
    },
    "intel-npu-4000": {
        "compute.int8.cores": 6,
        "compute.fp16.cores": 6,
        "compute.int8.depthwise_macs_per_cycle": 6 * 2048 // 8,
        "memory.internal_bytes": 6 * 1440 * KIB,
        "limits.max_dimension": 8192,
    },
    "nvdla-full": {"memory.internal_bytes": 512 * KIB, "memory.align_bytes": 32},
    "nvdla-large": {"memory.internal_bytes": 16 * 64 * 512, "memory.align_bytes": 32},
    "nvdla-medium-1024": {"memory.internal_bytes": 32 * 32 * 512, "memory.align_bytes": 32},
    "nvdla-medium-512": {"memory.internal_bytes": 32 * 32 * 512},
    "nvdla-small": {"memory.internal_bytes": 32 * 8 * 512},
    "nvdla-small-256": {"memory.internal_bytes": 32 * 32 * 128},
    "rockchip-rk3588": {
        "memory.internal_bytes": 12 * 32 * KIB,
        "weights.input_block": 32,
        "weights.output_block": 2,
    },
    "sophgo-bm1684x": {"memory.internal_bytes": 64 * 256 * KIB, "memory.align_bytes": 64},
    "sophgo-bm1688": {"memory.internal_bytes": 32 * 128 * KIB, "memory.align_bytes": 16},
    "ti-tinpu": {"limits.max_kernel_height": 7},
    "verisilicon-vipnano-6": {"memory.internal_bytes": 256 * KIB, "compute.int8.cores": 6},
    "verisilicon-vipnano-8": {"memory.internal_bytes": 512 * KIB, "compute.int8.cores": 8},
}


def leaves(tree: object, path: str = "") -> Iterator[tuple[str, object]]:
    """The dotted path and value of everything that is one value: an array, a rule and a list count as one."""
    if isinstance(tree, dict) and not path.endswith(".array"):
        for key, value in tree.items():
            yield from leaves(value, f"{path}.{key}" if path else key)
    elif path.endswith(".rule") and isinstance(tree, list):
        yield from ((f"{path}.{index}", rule) for index, rule in enumerate(tree))
    else:
        yield path, tree


def test_the_catalogue_is_complete_and_sorted():
    assert [target.id for target in targets()] == IDS
    assert {path.stem for path in CATALOGUE.glob("*.toml")} == set(IDS)
    assert len(IDS) >= 45
    assert set(IDS) == {id for id in RATES if "@" not in id}
    assert set(UNITS) == set(GOLDEN)


@pytest.mark.parametrize("id", GOLDEN)
def test_units_and_padded_macs(id: str):
    target = load_target(id)
    wide, pointwise, (depthwise, _) = (target.units(each) for each in (WIDE, POINTWISE, DEPTHWISE))
    assert (wide, pointwise, depthwise) == UNITS[id]
    assert tuple(padding(each, target).padded_macs for each in (WIDE, POINTWISE, DEPTHWISE)) == GOLDEN[id]


@pytest.mark.parametrize("id", RATES)
def test_rate_block_and_clock(id: str):
    target = load_target(id)
    assert (target.active.macs_per_cycle, target.block, target.system.clock_hz) == RATES[id]


@pytest.mark.parametrize("id", IDS)
def test_other_numbers(id: str):
    elsewhere = (
        r"compute\.\w+\.(\w+_unit|macs_per_cycle)|memory\.channel_block(_bytes)?|system\.(.+\.clock_hz|Ethos_U.+)"
    )
    found = {
        fact.field: fact.value
        for fact in load_target(id).facts
        if type(fact.value) in (int, float) and not re.fullmatch(elsewhere, fact.field)
    }
    assert found == OTHERS.get(id, {})


@pytest.mark.parametrize(
    ("family", "of", "inputs"),
    [
        ("ethos-u[56]5", layer(16, 64), 8),  # part-kernel
        ("ethos-u[56]5", layer(17, 64), 32),  # depth-first
        ("ethos-u[56]5", layer(16, 64, kernel=1), 32),
        ("ethos-u85", layer(8, 64), 8),
        ("ethos-u85", layer(9, 64), 16),
        ("ethos-u85", layer(8, 64, kernel=1), 64),
        ("ti-tinpu", layer(1, 64), 1),  # FCONV
        ("ti-tinpu", layer(2, 64), 4),
    ],
)
def test_units_that_depend_on_the_layer(family: str, of: Layer, inputs: int):
    found = [load_target(id) for id in IDS if re.match(family, id)]
    assert found
    assert {target.units(of).input for target in found} == {inputs}


def test_only_these_do_anything_but_waste_what_does_not_fit():
    others = {id: load_target(id).active.misfit for id in IDS if load_target(id).active.misfit != "waste"}
    assert others == {"intel-npu-3720": "pad", "intel-npu-4000": "pad", "sony-imx500": "pad", "ti-tinpu": "reject"}


@pytest.mark.parametrize("target", targets(), ids=IDS)
def test_one_fact_a_value(target: Target):
    """Every number, array and rule has one fact of its own, and so has what else a source had to say."""
    stated = target.model_dump(
        mode="json", by_alias=True, exclude_unset=True, include={"compute", "memory", "weights", "systems", "limits"}
    )
    values = dict(leaves(stated))
    needed = {
        path
        for path, value in values.items()
        if not isinstance(value, bool | str)
        or path in ("memory.layout", "limits.depthwise")
        or (path.endswith(".misfit") and value != "waste")
    }
    fields = [fact.field for fact in target.facts]
    assert len(fields) == len(set(fields))
    assert set(fields) == needed
    assert all(fact.value == values[fact.field] for fact in target.facts)


@pytest.mark.parametrize("target", targets(), ids=IDS)
def test_every_fact_can_be_looked_up(target: Target):
    for fact in target.facts:
        assert re.fullmatch(r"https://[\w.-]+\.\w+/\S+|pypi:[\w-]+==[\d.]+", fact.source), fact.field
        assert len(fact.locator) > 5, fact.field
        assert fact.confidence != "given", fact.field


@pytest.mark.parametrize("path", sorted(CATALOGUE.glob("*.toml")), ids=lambda path: path.stem)
def test_the_files_are_fit_to_read(path: Path):
    text = path.read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 200
    assert "/work/" not in text and "npus.md" not in text
    assert tomllib.loads(text)["id"] == path.stem


@pytest.mark.parametrize("target", targets(), ids=IDS)
def test_what_is_not_stated_is_listed_as_unknown(target: Target):
    def listed(path: str) -> bool:
        return any(path == u or path.startswith(f"{u}.") for u in target.unknown)

    for precision, compute in target.compute.items():
        for field in ("macs_per_cycle", "input_unit", "output_unit", "depthwise_unit"):
            assert getattr(compute, field) or listed(f"compute.{precision}.{field}"), f"{precision}.{field}"
    memory = target.memory
    assert memory.channel_block or memory.channel_block_bytes or listed("memory.channel_block")
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
    assert vela.ncores == (target.active.cores or 1)
    if not id.startswith("ethos-u85"):  # the package has no table of that core's micro-blocks and memories
        block, array = vela.config.ofm_ublock, target.active.array
        assert (block.height, block.width) == target.active.spatial_unit
        assert block.depth == array.outputs
        assert vela.config.shram_banks * 1024 * vela.ncores == target.memory.internal_bytes
        assert block.depth * vela.ncores == target.active.output_unit
    assert next(iter(target.systems)) == vela.system_config
    ini = Path(features.CONFIG_FILES_PATH, "Arm", "vela.ini").read_text(encoding="utf-8")
    family = id.rpartition("-")[0].replace("ethos-u", "Ethos_U")
    assert set(target.systems) == set(re.findall(rf"^\[System_Config\.({family}_\w+)\]", ini, re.MULTILINE))
    for name, system in target.systems.items():
        vela = architecture(name, "Shared_Sram" if system.flash_bytes_per_cycle else "Dedicated_Sram")
        bandwidth = vela.memory_bandwidths_per_cycle
        assert vela.core_clock == system.clock_hz
        assert bandwidth[features.MemArea.Sram] == system.sram_bytes_per_cycle
        if system.dram_bytes_per_cycle is None:
            assert bandwidth[features.MemArea.OffChipFlash] == system.flash_bytes_per_cycle
        else:
            assert bandwidth[features.MemArea.Dram] == system.dram_bytes_per_cycle
