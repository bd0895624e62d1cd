"""Write every page.

The pictures that ask the compiler for minutes are drawn apart: `python -m tools.pages.staircases` (for `probing.md`) and
`python -m tools.pages.readme`.
"""

from tools.pages import choices, hardware, lossless, onnx_operators, operators, recovered, results, treated

for page in (hardware, operators, onnx_operators, choices, recovered, treated, lossless, results):
    page.write()
