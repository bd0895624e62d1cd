"""Bars and the console they are shown on."""

import pytest

from padless.progress import console, quiet


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("when", [False, True])
def test_quiet_restores_the_console(monkeypatch, before, when):
    monkeypatch.setattr(console, "quiet", before)
    with quiet(when):
        assert console.quiet is (before or when)
    assert console.quiet is before


def test_quiet_restores_the_console_after_a_failure(monkeypatch):
    monkeypatch.setattr(console, "quiet", False)
    with pytest.raises(ValueError, match="inside"), quiet(True):
        raise ValueError("inside")
    assert console.quiet is False


def test_quiet_prints_nothing(capsys):
    with quiet(True):
        console.print("helping")
    console.print("leading")
    assert capsys.readouterr().err == "leading\n"
