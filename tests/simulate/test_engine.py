"""Both engines on one deployment: to the cycle without contention, never faster with it."""

from dataclasses import replace

import pytest

from tinysim.deploy.deployment import Deployment, deploy
from tinysim.device.library import list_devices
from tinysim.errors import InputError, SpecError, TinysimError, UnsupportedOperator
from tinysim.estimate.engine import estimate_deployment
from tinysim.network.load import list_networks, load_network
from tinysim.simulate.engine import simulate
from tinysim.simulate.soc import SocSpec, burst_cycles
from tinysim.simulate.work import Use, Work, inference_works
from tinysim.simulate.workload import Traffic

TINY = ("ad", "ic", "kws", "vww")


def priced(network: str, device: str) -> Deployment | None:
    """A deployment that the closed form can price; None where it refuses."""
    try:
        deployment = deploy(load_network(network), device)
        inference_works(deployment)
    except (UnsupportedOperator, SpecError, InputError):
        return None
    return deployment


def agree(deployment: Deployment) -> None:
    est, timeline = estimate_deployment(deployment), simulate(deployment)
    assert timeline.cycles == est.cycles
    assert timeline.latency_s == pytest.approx(est.latency_s, rel=1e-12)
    assert timeline.energy_j == (None if est.energy_j is None else pytest.approx(est.energy_j, rel=1e-9))
    if deployment.offload is not None:
        return  # its layers are spans of transfers and of the array, and the core waits
    layers = [row for row in est.layers if row.cycles]
    assert [span.end - span.start for span in timeline.spans][: len(layers)] == [row.cycles for row in layers]


@pytest.mark.parametrize("device", list_devices())
def test_one_master_takes_the_cycles_of_the_closed_form_on_every_board(device):
    deployments = [priced(network, device) for network in TINY]
    if not any(deployments):
        with pytest.raises(TinysimError):
            inference_works(deploy(load_network("kws"), device))
    for deployment in filter(None, deployments):
        agree(deployment)


@pytest.mark.parametrize("network", list_networks())
def test_one_master_takes_the_cycles_of_the_closed_form_on_every_network(network):
    deployment = priced(network, "nucleo-l4r5zi")
    assert deployment is not None
    agree(deployment)


@pytest.fixture(scope="module")
def kws() -> Deployment:
    return deploy(load_network("kws"), "nucleo-l4r5zi", "tflm-cmsis-nn")


FRAMES = Traffic(name="frames", n_bytes=27_648, target="sram", period_s=8e-3)


@pytest.mark.parametrize("arbiter", ["round-robin", "fixed"])
@pytest.mark.parametrize("bus", ["matrix", "shared"])
def test_contention_is_never_faster_than_the_closed_form(kws, arbiter, bus):
    alone = estimate_deployment(kws).cycles
    copies = Traffic(name="copies", n_bytes=20_000, source="flash", target="sram", period_s=20e-3)
    timeline = simulate(kws, soc={"arbiter": arbiter, "bus": bus}, traffic=[FRAMES, copies])
    assert timeline.cycles > alone
    assert timeline.cycles - alone == timeline.waited_cycles("core0")


def test_bytes_are_those_of_the_layers_and_the_blocks(kws):
    timeline = simulate(kws, traffic=[FRAMES])
    works = inference_works(kws)
    blocks = sum(span.n_bytes for span in timeline.spans if span.kind == "transfer")
    by_port = {port.name: port.n_bytes for port in timeline.ports}
    assert by_port["flash"] == sum(u.n_bytes for w in works for u in w.uses if u.memory == "flash")
    assert by_port["sram"] == blocks + sum(u.n_bytes for w in works for u in w.uses if u.memory == "sram")
    assert sum(by_port.values()) == sum(span.n_bytes for span in timeline.spans)


def test_every_burst_takes_the_same_ticks(kws):
    """One layer simulated burst by burst, with traffic."""
    small = load_network("edgemark-fc-0")
    deployment = deploy(small, "nucleo-l4r5zi", "tflm-cmsis-nn")
    busy = [Traffic(name="t", n_bytes=512, source="flash", target="sram", period_s=10e-6)]
    fast, slow = (simulate(deployment, traffic=busy, every_burst=every) for every in (False, True))
    assert fast.jobs == slow.jobs
    # The block that is under way at the end is booked up to its last whole burst in the slow run.
    ended = [[span for span in run.spans if span.kind == "layer" or span.end < run.cycles] for run in (fast, slow)]
    assert ended[0] == ended[1]
    assert fast.events < slow.events


def test_another_base_clock_changes_ticks_not_time(kws):
    parts = SocSpec.from_target(kws.target)
    doubled = simulate(kws, soc=parts.model_copy(update={"clock_hz": 2 * parts.clock_hz}))
    assert doubled.cycles == 2 * simulate(kws).cycles


def test_errors_name_what_is_accepted(kws):
    with pytest.raises(InputError, match="simulate needs a device"):
        simulate("kws")
    with pytest.raises(InputError, match="a deployment has its device"):
        simulate(kws, "nucleo-l4r5zi")
    with pytest.raises(SpecError, match="no memory 'sra' on the bus; did you mean sram"):
        simulate(kws, traffic=[replace(FRAMES, target="sra")])
    with pytest.raises(SpecError, match=r"parts of nucleo-l4r5zi: arbiter: Input should be 'round-robin' or 'fixed'"):
        simulate(kws, soc={"arbiter": "lottery"})
    with pytest.raises(SpecError, match="banks of unknown memory 'ram'; did you mean sram"):
        simulate(kws, soc={"banks": {"ram": 2}})
    with pytest.raises(SpecError, match="no sleep state 'stop9' of known current; did you mean stop2"):
        simulate(kws, soc={"sleep": "stop9"})
    with pytest.raises(SpecError, match=r"memories: names must be there and differ|Value error"):
        simulate(kws, soc={"memories": ()})
    with pytest.raises(SpecError, match="traffic needs DMA, but dma_channels is 0"):
        simulate(kws, soc={"dma_channels": 0}, traffic=[FRAMES])
    with pytest.raises(InputError, match="needs 0 <= cycles that ports are held <= cycles; got 11 of 10"):
        Work("x", 10, (Use("sram", 11, 4),))


@pytest.mark.parametrize(
    ("n_bytes", "fields", "cycles"),
    [
        (0, {}, 0),
        (4, {}, 1),
        (30, {}, 8),
        (16, {"wait_cycles": 3}, 4 + 4 * 3),
        (32, {"wait_cycles": 2, "line_bytes": 16, "prefetch": True}, 8 + 2),
        (32, {"wait_cycles": 6, "line_bytes": 16, "prefetch": True}, 8 + 6 + 2),
    ],
)
def test_burst_cycles(n_bytes, fields, cycles):
    assert burst_cycles(n_bytes, bytes_per_cycle=4, **fields) == cycles
