"""A wearable day (IMU + PPG + BLE): how long, and what eats it? And what would another pulse interval give?

python examples/battery_wearable.py [picture.png]
"""

import sys
from dataclasses import replace
from pathlib import Path

from tinysim.scenario.life import battery_life, in_days
from tinysim.scenario.steady import steady

SCENARIO = Path(__file__).parent / "scenarios" / "wearable.yaml"


def main() -> None:
    life = battery_life(SCENARIO, runs=60)
    print(life.answer())
    for name, share in life.miss_share.items():
        print(f"late: {name} {share:.3%}")
    always = tuple((name, current / 5 if name == "pulse" else current) for name, current in life.plan.always)
    rarely = steady(replace(life.plan, always=always))
    print(f"with a pulse reading every 5 minutes: {in_days(rarely.lifetime().time_s)}")
    if len(sys.argv) > 1:
        from tinysim.report.battery import write_battery_png

        write_battery_png(life, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
