"""Every runtime of every board has an arena policy, and every network a plan under it."""

import random

import pytest

import tinysim as ts
from tinysim.deploy.policy import ARENA_STYLES, arena_policy
from tinysim.deploy.target import resolve_target
from tinysim.errors import SpecError

PAIRS = sorted({(r, ts.load_device(d).core.name, d) for d in ts.list_devices() for r in ts.load_device(d).runtimes})
NETWORKS = ts.list_networks()


def test_every_runtime_of_every_board_has_a_style():
    styles = {arena_policy(resolve_target(device, runtime)).planner for runtime, _, device in PAIRS}
    assert {"tflm-greedy", "greedy-by-size", "optimum"} <= styles


@pytest.mark.parametrize(("runtime", "device"), sorted({r: (r, d) for r, _, d in PAIRS}.values()))
def test_networks_deploy_on_every_runtime(runtime, device):
    target = resolve_target(device, runtime)
    for name in random.Random(runtime).sample(NETWORKS, 5):
        network = ts.load_network(name)
        arena = ts.deploy(network, target).arena
        assert arena.peak_bytes >= arena.lower_bound_bytes
        assert arena.peak_bytes >= sum(network.tensors[t].n_bytes for t in network.inputs)


@pytest.mark.parametrize(
    ("runtime", "device", "planned", "persistent"),
    [
        ("tflm-reference", "nucleo-l4r5zi", 73728, "tflm"),
        ("microtvm-cmsis-nn", "nucleo-l4r5zi", 64512, "none"),
        ("bosch-hale-1.0", "nucleo-h7a3zi-q", 55296, "none"),
    ],
)
def test_vww_arena_of_a_runtime(runtime, device, planned, persistent):
    """Heads of vww: TFLM's, microTVM's workspace (reported 64,800 B), HALE's network buffer."""
    deployment = ts.deploy(ts.load_network("vww"), device, runtime)
    assert deployment.arena.head_bytes == planned
    assert deployment.arena.policy.persistent == persistent


def test_an_unknown_style_is_named():
    target = resolve_target("nucleo-l4r5zi", "tflm-reference")
    odd = target.runtime.model_copy(update={"planner": "optimall"})
    with pytest.raises(SpecError, match=r"tflm-reference.*did you mean optimal"):
        arena_policy(type(target)(**{**vars(target), "runtime": odd}))


def test_styles_without_an_interpreter_persist_nothing():
    assert {s for s, p in ARENA_STYLES.items() if p.persistent == "tflm"} == {"tflm-greedy"}
