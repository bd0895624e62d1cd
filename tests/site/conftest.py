"""The documentation site, built once for all test processes."""

import pytest
from filelock import FileLock

from tools.site.build import build
from tools.site.stage import stage


@pytest.fixture(scope="session")
def site(tmp_path_factory, request):
    """Its folder. Notebooks are not run for it: they have tests of their own."""
    shared = tmp_path_factory.getbasetemp()
    work = (shared.parent if hasattr(request.config, "workerinput") else shared) / "documentation"
    with FileLock(f"{work}.lock"):
        if not (work / "site").exists():
            stage(work, execute=False)
            build(work)
    return work / "site"
