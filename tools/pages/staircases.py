"""Draw the staircases of `probing.md`: `python -m tools.pages.staircases`. Takes minutes and vela, scalesim, matplotlib."""

from padless import load_target, open_oracle
from padless.cost.probe import Setting, probe
from padless.report.staircase import draw
from tools.pages import IMAGES


def main() -> None:
    for id in ("ethos-u55-256", "ethos-u85-512"):
        oracle = open_oracle("vela", load_target(id, memory_mode="Sram_Only"))
        setting = Setting()
        draw(probe(oracle, setting), setting, IMAGES / f"probe-{id}.png", id)
        oracle.close()
    for size in (16, 32):
        oracle = open_oracle(f"scalesim {size}x{size}", load_target("unit:1"))
        setting = Setting(kernel=1, hw=8, other=32, widths=range(1, 3 * size + 9))
        stairs = probe(oracle, setting, ("output", "input"))
        draw(stairs, setting, IMAGES / f"probe-scalesim-{size}.png", f"systolic array {size}x{size}")
        oracle.close()


if __name__ == "__main__":
    main()
