"""ZigZag in a process of its own: it searches loop orders for seconds, and logs.

A request has `rows` (input channels) and `columns` (output channels) of the array and a convolution: `c_in`, `c_out`,
`kernel`, `stride`, `dilation`, `out_hw`. The memories are those of ZigZag's own `tpu_like` accelerator.
"""

import logging
import tempfile
from pathlib import Path
from typing import Any

import yaml
import zigzag
from zigzag.mapping.temporal_mapping import TemporalMappingType
from zigzag.stages.evaluation.cost_model_evaluation import CostModelStage
from zigzag.stages.main import MainStage
from zigzag.stages.mapping.spatial_mapping_generation import SpatialMappingGeneratorStage
from zigzag.stages.mapping.temporal_mapping_generator_stage import TemporalMappingGeneratorStage
from zigzag.stages.parser.accelerator_parser import AcceleratorParserStage
from zigzag.stages.parser.workload_parser import WorkloadParserStage
from zigzag.stages.results.reduce_stages import MinimalLatencyStage, SumStage
from zigzag.stages.workload_iterator import WorkloadStage

ACCELERATOR = Path(zigzag.__file__).parent / "inputs" / "hardware" / "tpu_like.yaml"
# The steps of ZigZag's own `api.get_hardware_performance_zigzag`, without those that draw and pickle.
STAGES = [
    WorkloadParserStage,
    AcceleratorParserStage,
    SumStage,
    WorkloadStage,
    MinimalLatencyStage,
    SpatialMappingGeneratorStage,
    MinimalLatencyStage,
    TemporalMappingGeneratorStage,
    CostModelStage,
]


def answer(request: dict[str, Any], _: bytes) -> dict[str, float]:
    """Cycles and picojoules of the fastest loop order."""
    logging.disable(logging.CRITICAL)
    rows, columns = request["rows"], request["columns"]
    accelerator = yaml.safe_load(ACCELERATOR.read_text())
    accelerator["operational_array"]["sizes"] = [columns, rows]
    mapping = {
        "name": "default",
        "spatial_mapping": {"D1": [f"K, {columns}"], "D2": [f"C, {rows}"]},
        "memory_operand_links": {"O": "O", "W": "I2", "I": "I1"},
    }
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "accelerator.yaml", Path(folder) / "mapping.yaml"]
        for file, content in zip(files, (accelerator, [mapping]), strict=True):
            file.write_text(yaml.safe_dump(content, sort_keys=False))  # the order of memories is their hierarchy
        stage = MainStage(
            list_of_callables=STAGES,
            accelerator=str(files[0]),
            workload=[_layer(**request)],
            mapping=str(files[1]),
            dump_folder=folder,
            pickle_filename="",
            loma_lpf_limit=6,
            loma_show_progress_bar=False,
            nb_mappings_generated=1,
            enable_mix_spatial_mapping_generation=False,
            access_same_data_considered_as_no_access=True,
            temporal_mapping_type=TemporalMappingType("uneven"),
        )
        evaluation = stage.run()[0][0]
    return {
        "total": round(evaluation.latency_total2),
        "npu": round(evaluation.ideal_temporal_cycle),
        "pj": evaluation.energy_total,
    }


def _layer(
    c_in: int, c_out: int, kernel: list[int], stride: list[int], dilation: list[int], out_hw: list[int], **_: Any
) -> dict[str, object]:
    """A convolution in ZigZag's words. Its input is as large as it reads: padding is data."""
    (ky, kx), (sy, sx), (dy, dx), (oy, ox) = kernel, stride, dilation, out_hw
    return {
        "id": 0,
        "name": "layer",
        "operator_type": "Conv",
        "equation": "O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]",
        "dimension_relations": [f"ix={sx}*ox+{dx}*fx", f"iy={sy}*oy+{dy}*fy"],
        "loop_dims": ["B", "K", "C", "OY", "OX", "FY", "FX"],
        "loop_sizes": [1, c_out, c_in, oy, ox, ky, kx],
        "operand_precision": {"W": 8, "I": 8, "O": 16, "O_final": 8},
        "operand_source": {"W": 0, "I": 0},
    }
