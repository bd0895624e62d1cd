"""The licence of every package that padless needs, and which of its extras bring it.

    python -m tools.licences    # or: make licences

Copyleft licences are marked. The command ends with code 1 where one of the strong kind is needed without an extra.
"""

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

STRONG, WEAK = re.compile(r"\b(A?GPL|EUPL|SSPL|CC-BY-SA)"), re.compile(r"\b(LGPL|MPL|CDDL|EPL)|Mozilla|Lesser")


def main() -> int:
    core = closure("padless", "")
    extras = sorted(set(distribution("padless").metadata.get_all("Provides-Extra") or ()) - {"all"})
    brought: dict[str, list[str]] = {}
    for extra in extras:
        for name in closure("padless", extra) - core:
            brought.setdefault(name, []).append(extra)
    bad = []
    for name in sorted(core | set(brought)):
        found = installed(name)
        licence = licence_of(found) if found else "not installed here"
        strong, weak = bool(STRONG.search(licence)), bool(WEAK.search(licence))
        kind = "copyleft" if strong else "weak copyleft" if weak else ""
        where = "needed" if name in core else f"extra {', '.join(brought[name])}"
        print(f"{name:32} {found.version if found else '':14} {where:28} {kind:14} {licence}")
        bad += [name] * (strong and name in core)
    print(f"\n{len(core)} packages are needed, {len(brought)} more come with extras.")
    if bad:
        print(f"Copyleft without an extra: {', '.join(bad)}")
    return 1 if bad else 0


def closure(package: str, extra: str) -> set[str]:
    """All packages that one needs with an extra, itself left out. Those that are not installed end there."""
    seen: set[tuple[str, str]] = set()
    todo = [(canonicalize_name(package), extra)]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        found = installed(name)
        for text in (found.requires or ()) if found else ():
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                todo += [(canonicalize_name(need.name), wanted) for wanted in (*need.extras, "")]
    return {name for name, _ in seen} - {package}


def installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def licence_of(found: Distribution) -> str:
    """The expression that a package states, else its classifiers, else the first line of its text."""
    about: Any = found.metadata
    if expression := about.get("License-Expression"):
        return str(expression)
    classifiers = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier") or () if c.startswith("License ::")]
    lines = str(about.get("License") or "").strip().splitlines()
    return "; ".join(classifiers) or (lines[0][:80] if lines else "not stated")


if __name__ == "__main__":
    sys.exit(main())
