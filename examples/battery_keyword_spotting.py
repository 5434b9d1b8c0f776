"""Always-on keyword spotting on a named board at about a milliwatt: how long, and what eats it?

python examples/battery_keyword_spotting.py [picture.png]
"""

import sys
from pathlib import Path

from tinysim.scenario.life import battery_life

SCENARIO = Path(__file__).parent / "scenarios" / "keyword_spotting.yaml"


def main() -> None:
    life = battery_life(SCENARIO, runs=60)
    print(life.answer())
    print(f"mean power at the rail: {life.mean.power_w * 1e3:.3f} mW, awake {life.mean.busy:.2%} of the time")
    top = life.bars[0]
    print(f"it depends most on {top.name}: ±{top.half_width:.0%} moves it by {top.swing_s / 86400:.0f} days")
    if len(sys.argv) > 1:
        from tinysim.report.battery import write_battery_png

        write_battery_png(life, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
