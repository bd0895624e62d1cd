"""What Vela makes of exported files, and the C array."""

import shutil
import subprocess

import pytest
import torch
from checks.vela_command import command_line
from models.networks import small

from padless import load_target
from padless.deploy import export
from padless.deploy.compiled import c_array
from padless.errors import UsageError

pytest.importorskip("ai_edge_litert", reason="the extra tflite is not installed")
X = torch.zeros(1, 3, 16, 16)
IMAGES = [torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))]


def test_cycles_are_those_of_velas_command_line_on_the_same_file(tmp_path):
    target = load_target("ethos-u55-256")
    exported = export(small(), X, tmp_path / "m.tflite", images=IMAGES, target=target, compile=True)
    cycles = exported.cycles
    (tmp_path / "vela").mkdir()
    theirs = command_line(exported.file.read_bytes(), target, tmp_path / "vela")
    assert (cycles.total, cycles.npu) == (
        float(theirs["cycles_total"]),
        float(theirs["cycles_npu"]),
    ) and cycles.cpu_operators == 0
    assert cycles.flash_bytes > 0 and cycles.operators
    flashed = tmp_path / "m_vela.tflite"
    assert flashed.read_bytes() == (tmp_path / "vela" / "network_vela.tflite").read_bytes()
    assert sorted(p.name for p in exported.others) == ["m.h", "m.tflite.json", "m_vela.tflite"]
    header = (tmp_path / "m.h").read_text()
    assert "alignas(16) const std::uint8_t m[] = {" in header


def test_the_array_is_the_file(tmp_path):
    content = bytes(range(256)) * 3 + b"\x01"
    (tmp_path / "net.h").write_text(c_array(content, "net", 5000))
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    (tmp_path / "main.cpp").write_text(
        '#include <cstdio>\n#include "net.h"\nint main() { if (reinterpret_cast<std::uintptr_t>(net) % 16) return 1;\n'
        "std::fwrite(net, 1, net_bytes, stdout); return net_arena_bytes == 5120 ? 0 : 2; }\n"
    )
    subprocess.run([compiler, "-std=c++11", "-Wall", "-Werror", "main.cpp", "-o", "main"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "main"], check=True, capture_output=True).stdout == content


def test_only_ethos_u_is_compiled_for(tmp_path):
    with pytest.raises(UsageError, match="gemmini-16 is no Ethos-U: Vela does not compile for it"):
        export(small(), X, tmp_path / "m.tflite", images=IMAGES, target=load_target("gemmini-16"), compile=True)
    assert list(tmp_path.iterdir()) == []
    assert export(small(), X, tmp_path / "m.tflite", images=IMAGES, target=load_target("gemmini-16")).cycles is None
