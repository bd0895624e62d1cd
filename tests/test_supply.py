"""What padless is built and tested with: the lock names every package by its hash, and licences are told apart."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import licences
from tools.lock import OF_TORCH, blocks

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements" / "dev.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_locked_package_has_its_version_and_hashes():
    packages = blocks(LOCK)
    assert "".join(packages) == LOCK.partition("\n")[2] and len(packages) > 100
    for block in packages:
        first, *hashes = block.replace(" \\\n", "\n").splitlines()
        assert re.fullmatch(r"[\w.-]+==[\w.+!-]+( ; .+)?", first), first
        assert hashes and all(re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}", line) for line in hashes), first
        assert not OF_TORCH.match(first)


def test_the_lock_is_of_the_project_as_it_is_now():
    locked = {}
    for line in re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.MULTILINE):
        locked.setdefault(canonicalize_name(line[0]), []).append(line[1])
    extras = PROJECT["project"]["optional-dependencies"].values()
    asked = [
        *PROJECT["project"]["dependencies"],
        *(text for extra in extras for text in extra),
        *PROJECT["dependency-groups"]["dev"],
    ]
    for need in map(Requirement, asked):
        name = canonicalize_name(need.name)
        if name not in ("padless", "torch", "torchvision"):
            assert any(version in need.specifier for version in locked.get(name, [])), f"{need}: make lock"
    pins = dict(re.findall(r"^(torch\w*)==(\S+)", (ROOT / "requirements" / "torch.txt").read_text(), re.MULTILINE))
    wanted = {need.name: need.specifier for need in map(Requirement, asked) if need.name in pins}
    assert set(pins) == {"torch", "torchvision"} and all(pins[name] in wanted[name] for name in pins)


def test_set_up_installs_what_is_locked_and_nothing_beside_it():
    text = (ROOT / "Makefile").read_text()
    assert "--no-deps --require-hashes -r requirements/dev.lock" in text


def test_what_security_names_is_there():
    named = set(re.findall(r"`((?:tests|padless)/[\w/.]+)`", (ROOT / "SECURITY.md").read_text()))
    assert len(named) > 15 and all((ROOT / path).exists() for path in named)


def test_licences_are_listed_and_copyleft_comes_with_extras_alone():
    done = subprocess.run([sys.executable, "-m", "tools.licences"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line and not line[0].isdigit()}
    assert {"torch", "numpy", "pydantic", "safetensors", "ethos-u-vela"} <= set(rows)
    assert not [
        row for row in rows.values() if " needed " in row and re.search(r" copyleft ", row.replace("weak copyleft", ""))
    ]
    assert re.search(r"\d+ packages are needed, \d+ more come with extras\.", done.stdout)


@pytest.mark.parametrize(
    ("licence", "code"), [("GPL-3.0-only", 1), ("AGPL-3.0", 1), ("LGPL-2.1", 0), ("MPL-2.0", 0), ("MIT", 0)]
)
def test_strong_copyleft_that_everybody_gets_fails(monkeypatch, capsys, licence, code):
    monkeypatch.setattr(licences, "licence_of", lambda found: licence if found.name == "rich" else "MIT")
    assert licences.main() == code
    shown = capsys.readouterr().out
    assert ("Copyleft without an extra: rich" in shown) == bool(code)
    assert re.search(
        rf"^rich .*{'weak copyleft' if licence[0] in 'LM' and licence != 'MIT' else ''}.*{licence}$", shown, re.M
    )
