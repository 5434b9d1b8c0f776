"""A round of federated learning on a device: local steps, then the update up and the new parameters down by radio."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from tinysim.errors import InputError, SpecError
from tinysim.estimate.training import TrainingEstimate
from tinysim.scenario.parts import Radio, load_part
from tinysim.scenario.radio import BLE_IFS_S, ble_data_s

__all__ = ["FederatedRound", "federated_round"]

#: Payload of a data packet that carries an L2CAP channel: 251 bytes less a header of 4. Source: Bluetooth Core 5.4,
#: vol. 3, part A, sec. 3.1.
_PACKET_BYTES = 247


@dataclass(frozen=True)
class FederatedRound:
    """Time, bytes and energy of one round."""

    steps: int
    """batches that the device trains on"""
    compute_s: float
    compute_j: float | None
    """None if a figure of the board is unknown"""
    sent_bytes: int
    """parameters up; as many come down"""
    packets: int
    """each way"""
    radio_s: float
    """air, both ways, with the gaps between packets"""
    radio_j: float

    @property
    def energy_j(self) -> float | None:
        """Compute and radio [J]; None if a figure is unknown."""
        return None if self.compute_j is None else self.compute_j + self.radio_j

    @property
    def latency_s(self) -> float:
        """Compute, then radio [s]."""
        return self.compute_s + self.radio_s

    def to_dict(self) -> dict[str, Any]:
        """The round as plain data."""
        return asdict(self) | {"latency_s": self.latency_s, "energy_j": self.energy_j}


def federated_round(
    step: TrainingEstimate,
    *,
    samples: int,
    epochs: int = 1,
    radio: str = "ble-nrf52840",
    power: str | None = None,
    supply_v: float = 3.0,
    compression: float = 1.0,
) -> FederatedRound:
    """Price a round over a Bluetooth connection.

    steps = epochs * ceil(samples / batch); packets = ceil(update bytes * compression / 247), as many each way
    radio: a packet of data and an empty one that acknowledges it, a gap after each; ramps are left out, because packets
    follow each other within connection events

    step: a training step (see `estimate_training`). samples [1]: local samples. radio: part in
    ``device_specs/peripherals``; power: its output power. supply_v: rail of the radio [V]. compression: bytes sent over
    bytes of the update, e.g. 0.25 for int8. Valid: LE 1M without errors or encryption; the core sleeps meanwhile, its
    sleep current apart.

    Raises:
        InputError: a count below 1, a supply or compression that is not above 0.
        SpecError: no such radio or output power, or one that does not speak Bluetooth.
    """
    if samples < 1 or epochs < 1:
        raise InputError(f"samples and epochs must be 1 or more, got {samples} and {epochs}")
    if not supply_v > 0 or not 0 < compression <= 1:
        raise InputError(f"supply_v must be above 0 and compression from 0 to 1, got {supply_v!r} and {compression!r}")
    part = load_part(radio, Radio)
    if part.protocol != "ble":
        raise SpecError(f"radio: {part.name} speaks {part.protocol}, a federated round needs ble")
    steps = epochs * math.ceil(samples / step.batch)
    size = math.ceil(step.update_bytes * compression)
    full, rest = divmod(size, _PACKET_BYTES)
    data_s = full * ble_data_s(_PACKET_BYTES + 4) + (ble_data_s(rest + 4) if rest else 0.0)
    packets = full + bool(rest)
    empty_s = packets * ble_data_s(0)
    gaps_s = 2 * packets * BLE_IFS_S
    # Up: send data, hear acknowledgements; down the other way round. In the gaps the radio turns at receive current.
    tx_s, rx_s = data_s + empty_s, data_s + empty_s + 2 * gaps_s
    return FederatedRound(
        steps=steps,
        compute_s=steps * step.latency_s,
        compute_j=None if step.energy_j is None else steps * step.energy_j,
        sent_bytes=size,
        packets=packets,
        radio_s=tx_s + rx_s,
        radio_j=supply_v * (tx_s * part.tx_a(power) + rx_s * part.rx.si),
    )
