"""The demo."""

import json

from padless.report.report import Report


def test_demo(run, tmp_path):
    code, out, err = run("demo", "--out", "here")
    assert code == 0, err
    summary = json.loads((tmp_path / "here" / "summary.json").read_text())
    assert summary["after"]["cycles"] <= 0.5 * summary["before"]["cycles"]
    assert summary["after"]["avoidable_macs_percent"] == 0
    assert summary["before"]["accuracy"] > 95 and summary["after"]["accuracy"] > 95
    (general,) = Report.read(tmp_path / "here").beside
    assert 0.9 * summary["after"]["cycles"] < general.cycles <= summary["after"]["cycles"]
    assert (
        general.macs < summary["after"]["macs"]
        and general.avoidable_macs_percent > 10
        and general.recovered > general.cut
    )
    assert "Beside general pruning" in (tmp_path / "here" / "report.html").read_text() and "general pruning" in out
    for line in ("MACs", "cycles", "accuracy %", "removable padding, % of MACs", "padding that no cut removes"):
        assert line in " ".join(out.split())
    code, out, err = run("finetune", "here", "--epochs", "1", "--out", "tuned")  # its folder has the dense weights
    assert code == 0 and "Fine-tuned 1 epoch(s)" in out, err
    assert (tmp_path / "tuned" / "dense.safetensors").read_bytes() == (
        tmp_path / "here" / "dense.safetensors"
    ).read_bytes()
