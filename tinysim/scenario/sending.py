"""Phases of radio events: advertising, connection, LoRa uplink, UART."""

from __future__ import annotations

from tinysim.errors import SpecError
from tinysim.scenario.parts import Radio, load_part
from tinysim.scenario.plan import Phase
from tinysim.scenario.radio import BLE_IFS_S, ble_advertising_s, ble_data_s, ble_listen_s, lora_airtime_s, uart_s
from tinysim.scenario.steps import Send

__all__ = ["IDLE", "send_phases"]

#: Consumer that the core is while it waits for a radio.
IDLE = "idle core"


def send_phases(step: Send, idle_a: float) -> list[Phase]:
    """Phases of a radio event while the core draws `idle_a`.

    Raises:
        SpecError: no such radio or output power, or one that speaks another protocol.
    """
    idle = (IDLE, idle_a)
    name = step.name or f"send {step.how}"
    if step.radio is None or step.how == "uart":
        return [Phase(name, uart_s(step.payload, baud_hz=step.baud), ((name, idle_a),))]
    radio = load_part(step.radio, Radio)
    wanted = "lora" if step.how == "lora" else "ble"
    if radio.protocol != wanted:
        raise SpecError(f"radio: {radio.name} speaks {radio.protocol}, {step.how} needs {wanted}")
    tx_a, rx_a, sleep_a = radio.tx_a(step.power), radio.rx.si, radio.sleep.si if radio.sleep is not None else 0.0
    wait_a = radio.standby.si - sleep_a if radio.standby is not None else 0.0

    def phase(label: str, duration_s: float, radio_a: float, *, waits: bool = False) -> Phase:
        """The radio's own sleep current is among the constant ones."""
        return Phase(label, duration_s, ((name, max(radio_a - sleep_a, 0.0)), idle), waits)

    ramp = [phase(f"{name}: ramp", radio.ramp.si, tx_a)] if radio.ramp is not None else []
    if step.how == "lora":
        air = float(
            lora_airtime_s(
                step.payload,
                spreading_factor=step.spreading_factor,
                bandwidth_hz=step.bandwidth,
                coding_rate=step.coding_rate,
            )
        )
        out = [*ramp, phase(f"{name}: transmit", air, tx_a)]
        for window in range(step.windows):
            assert step.listen is not None
            delay = step.window_delay if window == 0 else 1.0 - step.listen
            out.append(phase(f"{name}: wait", delay, wait_a + sleep_a, waits=True))
            out.append(phase(f"{name}: listen", step.listen, rx_a))
        return out
    if step.how == "advertise":
        out = []
        for _ in range(3):  # channels 37, 38, 39
            out += [*ramp, phase(f"{name}: transmit", ble_advertising_s(step.payload), tx_a)]
            if step.listen is not None:
                out += [phase(f"{name}: turn", BLE_IFS_S, tx_a), phase(f"{name}: listen", step.listen, rx_a)]
        return out
    assert step.interval is not None  # the spec asks for it
    out = [*ramp, phase(f"{name}: listen", ble_listen_s(step.interval, clock_ppm=step.clock_ppm), rx_a)]
    left = step.payload
    while True:
        part = min(left, step.packet)
        out += [
            phase(f"{name}: receive", ble_data_s(0), rx_a),
            phase(f"{name}: turn", BLE_IFS_S, rx_a),
            phase(f"{name}: transmit", ble_data_s(part), tx_a),
        ]
        left -= part
        if left <= 0:
            return out
        out.append(phase(f"{name}: turn", BLE_IFS_S, rx_a))
