"""SCALE-Sim v3 in a process of its own: it is slow, prints, and works on files.

A request has `rows` and `columns` of a weight-stationary array and a matrix product `m` x `k` times `k` x `n`.
"""

import tempfile
from pathlib import Path
from typing import Any

from scalesim.scale_sim import scalesim

# Bandwidths and buffers as in its own example configurations. With CALC they are estimated, and stall nothing.
CONFIGURATION = """
[general]
run_name = run
[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
[architecture_presets]
ArrayHeight = {rows}
ArrayWidth = {columns}
IfmapSramSzkB = 256
FilterSramSzkB = 256
OfmapSramSzkB = 256
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Dataflow = ws
Bandwidth = 10
ReadRequestBuffer = 32
WriteRequestBuffer = 32
[layout]
IfmapCustomLayout = False
FilterCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = false
"""


def answer(request: dict[str, Any], _: bytes) -> dict[str, int]:
    """Cycles of the compute array, and those that it waits."""
    with tempfile.TemporaryDirectory() as folder:
        configuration, topology, layout = (Path(folder) / name for name in ("array.cfg", "layer.csv", "layout.csv"))
        configuration.write_text(CONFIGURATION.format(**request))
        topology.write_text("Layer, M, N, K,\nlayer, {m}, {n}, {k},\n".format(**request))
        layout.write_text("Layer name,\nlayer," + "1," * 20 + "\n")
        simulation = scalesim(
            save_disk_space=True,
            verbose=False,
            config=str(configuration),
            topology=str(topology),
            layout=str(layout),
            input_type_gemm=True,
        )
        simulation.run_scale(top_path=folder)
        _, cycles, stalled, *_ = simulation.runner.single_layer_sim_object_list[0].get_compute_report_items()
    return {"total": int(cycles), "npu": int(cycles) - int(stalled)}
