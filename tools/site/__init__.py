"""The documentation site: `python -m tools.site`, or `make docs`.

stage.py      gathers docs/ and the pages of the root into build/site/docs, as the site wants them
commands.py   writes the reference of the command line, from the application itself
api.py        lists the public names, whose docstrings mkdocstrings shows
notebooks.py  runs docs/notebooks/*.py and writes a page and an .ipynb of each
links.py      follows every link, anchor and picture of what was built
pages/        what only the site has: its front page; assets/: its style and its mark
"""

from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
