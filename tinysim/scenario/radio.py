"""Air time of packets: Bluetooth Low Energy, LoRa, UART. Seconds from bytes."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinysim.errors import InputError

__all__ = ["BLE_IFS_S", "ble_advertising_s", "ble_data_s", "ble_listen_s", "lora_airtime_s", "uart_s"]

#: Gap between packets of one BLE event. Source: Bluetooth Core 5.4, vol. 6, part B, sec. 4.1.
BLE_IFS_S = 150e-6


def ble_advertising_s(payload_bytes: int) -> float:
    """Air time of one advertising packet on LE 1M.

    t = 8 us (1 preamble + 4 access address + 2 header + 6 advertiser + payload + 3 CRC).
    Valid: legacy advertising, payload 0 to 31 bytes. Source: Bluetooth Core 5.4, vol. 6, part B, sec. 2.1, 2.3.

    >>> round(ble_advertising_s(31) * 1e6)
    376
    """
    if not 0 <= payload_bytes <= 31:
        raise InputError(f"BLE advertising payload of {payload_bytes} bytes: accepted is 0 to 31")
    return 8e-6 * (16 + payload_bytes)


def ble_data_s(payload_bytes: int) -> float:
    """Air time of one data packet of a connection on LE 1M, not encrypted.

    t = 8 us (1 preamble + 4 access address + 2 header + payload + 3 CRC); an empty packet takes 80 us.
    Valid: payload 0 to 251 bytes. Source: Bluetooth Core 5.4, vol. 6, part B, sec. 2.1, 2.4.

    >>> round(ble_data_s(0) * 1e6)
    80
    """
    if not 0 <= payload_bytes <= 251:
        raise InputError(f"BLE data payload of {payload_bytes} bytes: accepted is 0 to 251")
    return 8e-6 * (10 + payload_bytes)


def ble_listen_s(interval_s: float, *, clock_ppm: float) -> float:
    """Mean time that a peripheral listens before the central's packet, for both clocks' drift over an interval.

    The window opens early by w = (ppm_a + ppm_b) 1e-6 interval + 16 us; the packet comes in its middle on average.
    Source: Bluetooth Core 5.4, vol. 6, part B, sec. 4.2.4 (window widening).

    >>> round(ble_listen_s(1.0, clock_ppm=100.0) * 1e6)
    116
    """
    return clock_ppm * 1e-6 * interval_s + 16e-6


def lora_airtime_s(
    payload_bytes: ArrayLike,
    *,
    spreading_factor: int,
    bandwidth_hz: float = 125e3,
    coding_rate: int = 1,
    preamble_symbols: int = 8,
    crc: bool = True,
    explicit_header: bool = True,
    low_data_rate: bool | None = None,
) -> NDArray[np.float64]:
    """Air time of a LoRa packet.

    T = T_sym (n_preamble + 4.25 + 8 + max(ceil((8 PL - 4 SF + 28 + 16 CRC - 20 IH) / (4 (SF - 2 DE))) (CR + 4), 0)),
    T_sym = 2^SF / BW. `coding_rate` 1 to 4 means 4/5 to 4/8. Low data rate optimisation is on where a symbol is
    longer than 16 ms, as the modem asks for. Source: Semtech AN1200.13, sec. 4; SX1272/73 data sheet, sec. 4.1.1.7.

    >>> round(float(lora_airtime_s(13, spreading_factor=9)) * 1e3, 3)
    164.864
    """
    if not 6 <= spreading_factor <= 12 or not 1 <= coding_rate <= 4:
        raise InputError(f"LoRa: spreading factor {spreading_factor} must be 6 to 12, coding rate {coding_rate} 1 to 4")
    symbol_s = 2.0**spreading_factor / bandwidth_hz
    slow = symbol_s > 16e-3 if low_data_rate is None else low_data_rate
    bits = 8.0 * np.asarray(payload_bytes) - 4 * spreading_factor + 28 + 16 * crc - (0 if explicit_header else 20)
    blocks = np.maximum(np.ceil(bits / (4 * (spreading_factor - 2 * slow))), 0)
    return np.asarray(symbol_s * (preamble_symbols + 4.25 + 8 + blocks * (coding_rate + 4)))


def uart_s(payload_bytes: int, *, baud_hz: float, bits_per_byte: int = 10) -> float:
    """Time on a UART: start bit, 8 data bits, stop bit.

    >>> uart_s(115, baud_hz=115200) == 115 * 10 / 115200
    True
    """
    if baud_hz <= 0 or not math.isfinite(baud_hz):
        raise InputError(f"UART: baud rate {baud_hz} must be above 0")
    return payload_bytes * bits_per_byte / baud_hz
