"""Descriptions: the shipped load with known sources, inconsistent ones are refused with the path of the field."""

import copy
import re

import pytest
import yaml

from tinysim.cost.accelerator.machine import machine_of
from tinysim.cost.accelerator.spec import Accelerator, list_accelerators, load_accelerator
from tinysim.device.library import sources, spec_folder, validated
from tinysim.errors import SpecError, UnknownDevice
from tinysim.figures import Figure

NAMES = list_accelerators()
FAMILIES = [
    "ethos-u55",
    "ethos-u65",
    "ethos-u85",
    "systolic",
    "stm32n6",
    "max78",
    "gap8",
    "gap9",
    "ndp120",
    "mvp",
    "coral",
]
FAMILIES += ["neutron", "himax", "k210", "redmule", "finn", "diana", "raman"]


def example():
    text = (spec_folder() / "accelerators" / "systolic-16x16-ws.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def figures(part):
    """All figures of a description, with the sources that groups of numbers name."""
    if isinstance(part, Figure):
        yield part.source
    elif isinstance(part, tuple):
        for item in part:
            yield from figures(item)
    elif hasattr(type(part), "model_fields"):
        if isinstance(getattr(part, "source", None), str):
            yield part.source
        for name in type(part).model_fields:
            yield from figures(getattr(part, name))


@pytest.mark.parametrize("name", NAMES)
def test_every_source_is_known(name):
    used = [source for source in figures(load_accelerator(name)) if source is not None]
    assert len(used) > 5
    assert set(used) <= set(sources())


def test_every_family_of_the_issue_is_there():
    assert all(any(family in name for name in NAMES) for family in FAMILIES)


@pytest.mark.parametrize("name", NAMES)
def test_unmeasured_descriptions_hold_no_fitted_figure(name):
    spec = load_accelerator(name)
    kinds = [f.kind for e in spec.engines for f in (e.utilization, e.setup)] + [m.width.kind for m in spec.memories]
    assert spec.measured or "fitted" not in kinds


FIGURE = {"value": 3, "unit": "cycle", "kind": "assumed", "source": "example"}
POINTS = [
    {"clock": {**FIGURE, "value": f, "unit": "MHz"}, "supply": {**FIGURE, "value": 1, "unit": "V"}} for f in (200, 100)
]


def broken(path, value):
    data = copy.deepcopy(example())
    at = data
    *parents, last = path
    for key in parents:
        at = at[key]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["memories", 0, "clock"], None, r"memories\.0\.clock: Field required"),
        (["clock"], None, r"clock: Field required"),
        (
            ["engines", 0, "unroll", "in_c"],
            64,
            r"engines\.0\.activations_from: the array takes 64 B.*'buffer' delivers 32",
        ),
        (["engines", 0, "unroll", "inc"], 4, r"engines\.0\.unroll\.inc: Extra inputs"),
        (["engines", 0, "unroll", "in_c"], 0, r"engines\.0\.unroll\.in_c: .*greater than 0"),
        (["engines", 0, "kinds"], ["conv3d"], r"engines\.0\.kinds: .*unknown operator 'conv3d'"),
        (["engines", 0, "weights_from"], "sram", r"engines\.0\.weights_from: no memory 'sram'"),
        (["memories", 1, "holds"], ["weights"], r"memories: no store holds activations"),
        (["memories", 1, "name"], "buffer", r"memories: two have one name"),
        (["memories", 0, "width", "source"], None, r"memories\.0\.width: .*a figure needs a source"),
        (["memories", 0, "width", "unit"], "MHz", r"memories\.0\.width: .*does not fit"),
        (["engines", 0, "step_cycles"], FIGURE, r"engines\.0: .*block: needed to count"),
        (
            ["engines", 0, "also"],
            [{"in_c": 1024}],
            r"engines\.0: .*also\.0: 1024 multipliers, the array of unroll has 256",
        ),
        (["engines", 0, "skips"], ["outputs"], r"engines\.0\.skips\.0: "),
        (["decoder"], "huffman", r"decoder: "),
        (["silicon_ratio"], {**FIGURE, "unit": "1"}, r"silicon_ratio: of a compiler's estimate, and vela is missing"),
        (["points"], POINTS, r"points: clocks must rise"),
        (["fused"], ["swish"], r"fused: .*unknown operator 'swish'"),
    ],
)
def test_inconsistent_descriptions_are_refused_with_the_path(path, value, message):
    with pytest.raises(SpecError, match=message):
        validated(Accelerator, broken(path, value), "mine.yaml")


def test_the_example_itself_is_consistent():
    assert validated(Accelerator, example(), "mine.yaml").engines[0].macs_per_cycle == 256


def test_like_takes_what_a_file_leaves_out(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        'like: ethos-u55-64\nname: mine\ntitle: "Mine"\n'
        "clock: {value: 250, unit: MHz, kind: assumed, source: example}\nvela: {shram_banks: 24}\n",
        encoding="utf-8",
    )
    mine, base = load_accelerator(path), load_accelerator("ethos-u55-64")
    assert (mine.clock.si, mine.name) == (250e6, "mine")
    assert mine.engines == base.engines
    assert (mine.vela.shram_banks, mine.vela.bank_granules) == (24, base.vela.bank_granules)


def test_unknown_names_offer_the_nearest(tmp_path):
    with pytest.raises(UnknownDevice, match="ethos-u55-128"):
        load_accelerator("ethos-u55-129")
    path = tmp_path / "mine.yaml"
    path.write_text("like: ethos-u56\n", encoding="utf-8")
    with pytest.raises(UnknownDevice, match=r"mine\.yaml: like"):
        load_accelerator(path)


def test_a_number_that_is_not_there_cannot_be_varied():
    with pytest.raises(SpecError, match=re.escape("systolic-16x16-ws: no number 'sram__size_bytes'")):
        machine_of(load_accelerator("systolic-16x16-ws")).vary(sram__size_bytes=1.0)
