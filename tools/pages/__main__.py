"""Write every page. The staircases of `probing.md`, which take minutes, are drawn by `python -m tools.pages.staircases`."""

from tools.pages import choices, hardware, operators, recovered, results

for page in (hardware, operators, choices, recovered, results):
    page.write()
