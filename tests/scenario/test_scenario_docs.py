"""The pages' scenarios run, and so do the shipped ones."""

import re
from pathlib import Path

import pytest
import yaml

from tinysim.scenario.harvest import build_feed, build_node, build_workload, harvest_run
from tinysim.scenario.harvest_spec import HarvestScenario
from tinysim.scenario.life import battery_life
from tinysim.scenario.reader import read_spec
from tinysim.scenario.spec import Scenario

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "examples" / "scenarios").glob("*.yaml"))


def block(page: str) -> object:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return yaml.safe_load(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[0])


def test_the_scenario_of_the_battery_page() -> None:
    life = battery_life(Scenario.model_validate(block("battery.md")), runs=5, horizon_s=86400.0)
    assert "infer kws" in life.answer()
    assert life.run.events["look"] == 86400


def test_the_scenario_of_the_harvest_page() -> None:
    run = harvest_run(HarvestScenario.model_validate(block("harvest.md")))
    assert run.result.completion_rate > 0.9


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_a_shipped_scenario_is_sound(path: Path) -> None:
    if "harvest" in yaml.safe_load(path.read_text(encoding="utf-8")):
        spec, _ = read_spec(HarvestScenario, path)
        assert build_feed(spec.harvest, folder=path.parent, seed=0).inputs.max() > 0.0
        build_node(spec, *build_workload(spec)).kept.largest_atom()
    else:
        life = battery_life(path, runs=5, horizon_s=3600.0)
        assert life.lifetime_s > 86400.0
        assert sum(life.shares().values()) == pytest.approx(1.0)
