"""A week of office light at 1 Hz: DS-CNN without a battery, on an MSP430FR5994 and on a Cortex-M33.

python examples/harvest_week.py [picture.png]
"""

import sys
from pathlib import Path

from tinysim.scenario.harvest import harvest_run
from tinysim.scenario.inverse import best_granularity
from tinysim.scenario.parts import Nvm, VectorEngine, load_part
from tinysim.scenario.tasks import from_engine

SCENARIOS = Path(__file__).parent / "scenarios"


def main() -> None:
    runs = [harvest_run(SCENARIOS / f"{name}.yaml") for name in ("batteryfree_msp430", "batteryfree_m33")]
    for run in runs:
        print(run.answer())

    import tinysim as ts

    print("which checkpoints on the MSP430?")
    engine = load_part("msp430fr5994-lea", VectorEngine)
    work = from_engine(ts.load_network("kws"), engine)
    node, feed = runs[0].result.node, runs[0].feed
    for choice in best_granularity(work, load_part(engine.nvm, Nvm), node, feed, tiles=(1, 8, 64)):
        print(f"  {choice.name:22} {choice.completed:5d} completed  {choice.note[:90]}")
    if len(sys.argv) > 1:
        from tinysim.report.harvest import write_harvest_png

        write_harvest_png(runs[0], Path(sys.argv[1]))


if __name__ == "__main__":
    main()
