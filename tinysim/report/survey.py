"""Table 1 of a survey of compressed networks on microcontrollers, tested: what its rows would need to be true.

The claims are those of Faheem 2025 (`data/survey_claims.csv`). A row that names a network is predicted as named, on
three boards, and then the largest member of the network's family is sought that meets the claimed size and time; the
claimed power sets how often it may run. Rows that state a ratio are in `tinysim.report.survey_ratios`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tinysim.deploy.deployment import deploy
from tinysim.deploy.fit import misfits
from tinysim.estimate.engine import estimate_deployment
from tinysim.network.graph import Network
from tinysim.network.load import load_network
from tinysim.network.transforms import prune_channels, scale_width

__all__ = [
    "ABOUT",
    "AUDIO",
    "BOARDS",
    "Board",
    "Claim",
    "Finding",
    "Prediction",
    "claims",
    "most_per_second",
    "network_findings",
    "predict",
    "read_table",
    "sleep_power_w",
]

#: What "~" allows above the figure it stands before.
ABOUT = 1.2


@dataclass(frozen=True)
class Board:
    """A board and the runtime it is predicted with."""

    core: str
    device: str
    runtime: str


BOARDS = (
    Board("Cortex-M7", "nucleo-h7a3zi-q", "tflm-cmsis-nn"),
    Board("Cortex-M4", "nucleo-l4r5zi", "tflm-cmsis-nn"),
    Board("ESP32-S3", "esp32-s3-devkit", "esp-nn"),
)


@dataclass(frozen=True)
class Claim:
    """A row of the survey: its words, and the upper bounds in them (None where it gives none)."""

    row: str
    size: str
    time: str
    power: str
    accuracy: str
    text: str
    source: str
    size_bytes: float | None
    latency_s: float | None
    power_w: float | None


def read_table(name: str) -> list[dict[str, str]]:
    """The rows of a table of this folder's data."""
    with (Path(__file__).parent / "data" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _bound(words: str, unit: float) -> float | None:
    """The upper bound that a cell states: `<100`, `~250` (a fifth above counts), `6-7`; None for other words.

    >>> _bound("<100", 1.0), _bound("~250", 1.0), _bound("6-7", 1.0), _bound("varies", 1.0)
    (100.0, 300.0, 7.0, None)
    """
    match = re.match(r"(~?)<?(?:\d+-)?(\d+)(?!x)(?: per sample)?$", words)
    return float(match[2]) * (ABOUT if match[1] else 1.0) * unit if match else None


def claims() -> dict[str, Claim]:
    """The survey's rows by name."""
    return {
        r["row"]: Claim(
            row=r["row"],
            size=r["size_kb"],
            time=r["inference_ms"],
            power=r["power_mw"],
            accuracy=r["accuracy"],
            text=r["claim"],
            source=r["source"],
            size_bytes=_bound(r["size_kb"], 1e3),
            latency_s=_bound(r["inference_ms"], 1e-3),
            power_w=_bound(r["power_mw"], 1e-3),
        )
        for r in read_table("survey_claims.csv")
    }


@dataclass(frozen=True)
class Prediction:
    """One network on one board against one claim."""

    network: str
    core: str
    device: str
    runtime: str
    macs: int
    weights_bytes: int
    sram_bytes: int
    fits: bool
    """arena and flash fit the board's on-chip memories"""
    latency_s: float
    latency_low_s: float
    latency_high_s: float
    energy_j: float | None
    running_power_w: float | None
    """average power while it runs"""
    most_per_second: float | None
    """inferences per second up to which the average power, sleep between them included, is as claimed; None where the
    claim or the energy is unknown, 0 where the sleeping board draws more"""
    size_holds: bool
    time_holds: bool
    basis: str
    """whose measurements the interval is made from"""

    @property
    def duty(self) -> float | None:
        """Share of the time in which it runs at `most_per_second`."""
        return None if self.most_per_second is None else self.most_per_second * self.latency_s


def predict(network: Network, board: Board, claim: Claim) -> Prediction:
    """Predict a network on a board and compare it with a claim."""
    deployment = deploy(network, board.device, board.runtime)
    result = estimate_deployment(deployment)
    interval, energy, latency = result.interval(0.9), result.energy_j, result.latency_s
    rate = None
    if claim.power_w is not None and energy is not None:
        rate = most_per_second(energy, latency, claim.power_w, sleep_power_w(board.device))
    return Prediction(
        network=network.name,
        core=board.core,
        device=board.device,
        runtime=board.runtime,
        macs=result.macs,
        weights_bytes=result.memory.weights_bytes,
        sram_bytes=result.memory.sram_peak_bytes,
        fits=not misfits(deployment),
        latency_s=latency,
        latency_low_s=interval.latency_s[0],
        latency_high_s=interval.latency_s[1],
        energy_j=energy,
        running_power_w=None if energy is None else energy / latency,
        most_per_second=rate,
        size_holds=claim.size_bytes is None or result.memory.weights_bytes <= claim.size_bytes,
        time_holds=claim.latency_s is None or latency <= claim.latency_s,
        basis=interval.basis,
    )


def most_per_second(energy_j: float, latency_s: float, power_w: float, sleep_w: float) -> float:
    """Inferences per second at which the average power reaches `power_w`.

    P = r E + (1 - r t) P_sleep, so r = (P - P_sleep) / (E - t P_sleep), at most 1 / t.
    E `energy_j` [J], t `latency_s` [s], P `power_w` [W], P_sleep `sleep_w` [W]. Valid: waking up costs nothing.

    >>> most_per_second(10e-3, 0.1, 5e-3, 0.0), most_per_second(1e-6, 0.1, 5e-3, 0.0)
    (0.5, 10.0)
    """
    if power_w <= sleep_w:
        return 0.0
    extra_j = energy_j - latency_s * sleep_w
    return min(1 / latency_s, (power_w - sleep_w) / extra_j) if extra_j > 0 else 1 / latency_s


def sleep_power_w(device: str) -> float:
    """Power of the deepest sleep state that keeps the SRAM [W]."""
    from tinysim.device.library import load_device

    power = load_device(device).power
    assert power is not None
    kept = [s.current.si for s in power.sleep if s.current.known and s.retained is not None and s.retained.si > 0]
    return min(kept) * power.supply.si


# ---------------------------------------------------------------- families


@dataclass(frozen=True)
class Family:
    """Networks that a row can mean."""

    named: tuple[str, ...]
    """the network as named, by its public default"""
    build: Callable[[float, int, int], Network]
    """width factor, resolution and classes to a member"""
    widths: tuple[float, ...]
    what: str
    """what the width factor is"""


_SIZES = (48, 64, 80, 96, 112, 128, 160, 192, 224)
_CLASSES = (1000, 10)


@lru_cache(maxsize=512)
def _zoo(name: str) -> Network:
    return load_network(name)


def _squeezenet(width: float, size: int, classes: int) -> Network:
    base = _zoo(f"squeezenet-1.1-{size}-c{classes}")
    return prune_channels(base, 1 - width).rename(f"{base.name}, {width:.0%} of the channels")


def _lite(width: float, size: int, classes: int) -> Network:
    base = _zoo(f"efficientnet-lite0-{size}-c{classes}")
    return scale_width(base, width).rename(f"{base.name}, width {width:g}")


def _pruned(width: float, size: int, classes: int) -> Network:
    base = _zoo(f"mobilenet-v1-0.25-{size}-c{classes}")
    return prune_channels(base, 1 - width).rename(f"{base.name}, {width:.0%} of the channels")


_FAMILIES: dict[str, Family] = {
    "MobileNetV2 (quantized)": Family(
        ("mobilenet-v2-1.0-224", "mobilenet-v2-0.35-96"),
        lambda width, size, classes: _zoo(f"mobilenet-v2-{width:g}-{size}-c{classes}"),
        (1.0, 0.75, 0.5, 0.35, 0.25, 0.2, 0.15, 0.1),
        "width factor; int8",
    ),
    "SqueezeNet-Lite (pruned)": Family(
        ("squeezenet-1.1-224",), _squeezenet, (1.0, 0.75, 0.6, 0.5, 0.35, 0.25), "share of channels kept; int8"
    ),
    "EfficientNet-Lite (int8)": Family(
        ("efficientnet-lite0",), _lite, (1.0, 0.75, 0.5, 0.35, 0.25, 0.2, 0.15), "width factor; int8"
    ),
    "NAS-generated (ProxylessNAS)": Family(
        ("proxyless-mobile-224", "proxyless-mobile-w0.3-176"),
        lambda width, size, classes: _zoo(f"proxyless-mobile-w{width:g}-{size}-c{classes}"),
        (1.0, 0.75, 0.5, 0.3, 0.25, 0.2, 0.15, 0.1),
        "width factor; int8",
    ),
    "Pruning + quantization": Family(
        ("mobilenet-v1-0.25-224",), _pruned, (1.0, 0.9, 0.75, 0.6, 0.5), "share of channels kept; int8"
    ),
}
#: The row on audio, and keyword spotting networks for it.
AUDIO = "always-on audio model"
_KEYWORDS = ("ds-cnn-l", "ds-cnn-m", "ds-cnn-s", "mlperf-tiny-sww")


@dataclass(frozen=True)
class Finding:
    """What holds of a row that names a network."""

    claim: Claim
    named: tuple[Prediction, ...]
    """the networks as named, on each board"""
    largest: tuple[tuple[Board, Prediction | None], ...]
    """on each board the member with the most MACs that meets size and time and fits"""
    largest_1000: tuple[tuple[Board, Prediction | None], ...]
    """the same with 1000 classes; empty where the row has none"""
    what: str


def network_findings(rows: Sequence[str] | None = None) -> list[Finding]:
    """Test the rows that name a network, or some of them."""
    table = claims()
    findings = []
    for row, family in _FAMILIES.items():
        if rows is not None and row not in rows:
            continue
        claim = table[row]
        named = tuple(predict(_zoo(name), board, claim) for name in family.named for board in BOARDS)
        thousand, few = (
            tuple((board, _largest(family, board, claim, classes)) for board in BOARDS) for classes in _CLASSES
        )
        findings.append(Finding(claim, named, few, thousand, family.what))
    if rows is None or AUDIO in rows:
        named = tuple(predict(_zoo(name), board, table[AUDIO]) for name in _KEYWORDS for board in BOARDS)
        largest = tuple((b, _first_within([p for p in named if p.device == b.device])) for b in BOARDS)
        findings.append(Finding(table[AUDIO], named, largest, (), "keyword spotting networks; int8"))
    return findings


def _within(p: Prediction) -> bool:
    return p.fits and p.size_holds and p.time_holds


def _first_within(predictions: Sequence[Prediction]) -> Prediction | None:
    """The one with the most MACs that meets size and time."""
    return max(filter(_within, predictions), key=lambda p: p.macs, default=None)


def _largest(family: Family, board: Board, claim: Claim, classes: int) -> Prediction | None:
    """The member with the most MACs that meets the claim on a board; time and memory grow with the resolution."""
    found: list[Prediction] = []
    for width in family.widths:
        low, high = 0, len(_SIZES)
        while low < high:
            middle = (low + high) // 2
            network = _member(family, width, _SIZES[middle], classes)
            if claim.size_bytes is not None and network.weight_bytes > claim.size_bytes:
                break
            prediction = predict(network, board, claim)
            if _within(prediction):
                found.append(prediction)
                low = middle + 1
            else:
                high = middle
    return max(found, key=lambda p: p.macs, default=None)


@lru_cache(maxsize=512)
def _member(family: Family, width: float, size: int, classes: int) -> Network:
    return family.build(width, size, classes)
