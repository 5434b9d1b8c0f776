"""Which panel gives an inference a minute through a January week in Greensboro, and how small may the capacitor be?

python examples/harvest_january.py
"""

from dataclasses import replace
from pathlib import Path

from tinysim.scenario.harvest import build_feed, build_node, build_workload
from tinysim.scenario.harvest_spec import HarvestScenario
from tinysim.scenario.inverse import smallest_capacitor, smallest_scale
from tinysim.scenario.reader import read_spec
from tinysim.supply.capacitors import Capacitor

SCENARIOS = Path(__file__).parent / "scenarios"


def main() -> None:
    spec, _ = read_spec(HarvestScenario, SCENARIOS / "january_panel.yaml")
    feed = build_feed(spec.harvest, folder=SCENARIOS, seed=0)
    node = build_node(spec, *build_workload(spec))
    factor = smallest_scale(node, feed, target=spec.target, start_v=spec.storage.start)
    area = (spec.harvest.area or 0.0) * factor * 1e4
    print(
        f"panel for {spec.target:.0%} of one inference per minute: {area:.2f} cm2 with {spec.storage.capacitance:g} F"
    )
    twice = spec.harvest.model_copy(update={"scale": 2.0 * factor * spec.harvest.scale})
    large = build_feed(twice, folder=SCENARIOS, seed=0)
    farads = smallest_capacitor(
        replace(node, capacitor=Capacitor(1.0, rated_v=node.capacitor.rated_v)),
        large,
        target=spec.target,
        low_f=1e-3,
        high_f=10.0,
        start_v=spec.storage.start,
    )
    print(f"with twice that panel a capacitor of {farads:.3g} F is enough")


if __name__ == "__main__":
    main()
