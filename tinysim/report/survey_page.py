"""The tested survey as one document of plain data, with a verdict on each row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from tinysim.device.library import load_device, spec_folder
from tinysim.network.load import load_network
from tinysim.report.survey import AUDIO, BOARDS, Board, Finding, Prediction, claims, network_findings, sleep_power_w
from tinysim.report.survey_ratios import edge_tpu_rows, measured_ratios, predicted_ratios

__all__ = ["specs_fingerprint", "survey_document"]

#: What EfficientNet-Lite's calculations can be compared with.
_EARLIER = ("mobilenet-v1-1.0-224", "mobilenet-v2-1.0-224")


def survey_document() -> dict[str, Any]:
    """Claims, predictions, ratios and verdicts as plain data."""
    findings = network_findings()
    return {
        "specs": specs_fingerprint(),
        "claims": {row: asdict(claim) for row, claim in claims().items()},
        "boards": [_board(board, findings) for board in BOARDS],
        "networks": [
            {
                "row": f.claim.row,
                "width": f.what,
                "as_named": [_prediction(p) for p in f.named],
                "largest": [_largest(board, p) for board, p in f.largest],
                "largest_1000_classes": [_largest(board, p) for board, p in f.largest_1000],
                "whole": _whole(f),
                "verdict": _verdict(f),
            }
            for f in findings
        ],
        "ratios": [asdict(r) for r in predicted_ratios()],
        "measured_ratios": measured_ratios(),
        "edge_tpu": edge_tpu_rows(),
    }


def specs_fingerprint() -> str:
    """Eight digits that change with any figure of a board, core, runtime or calibration."""
    files = sorted(p for p in spec_folder().rglob("*") if p.suffix in {".yaml", ".csv"})
    return hashlib.sha256(b"".join(p.read_bytes().replace(b"\r\n", b"\n") for p in files)).hexdigest()[:8]


def _board(board: Board, findings: Sequence[Finding]) -> dict[str, Any]:
    mine = [p for f in findings for p in f.named if p.device == board.device]
    powers = [p.running_power_w for p in mine if p.running_power_w is not None]
    return asdict(board) | {
        "clock_hz": load_device(board.device).clock.si,
        "running_power_w": sum(powers) / len(powers),
        "sleep_power_w": sleep_power_w(board.device),
        "basis": mine[0].basis,
    }


def _prediction(p: Prediction) -> dict[str, Any]:
    return asdict(p) | {"duty": p.duty}


def _largest(board: Board, p: Prediction | None) -> dict[str, Any]:
    return {"core": board.core, "prediction": None if p is None else _prediction(p)}


# ---------------------------------------------------------------- verdicts


def _verdict(f: Finding) -> list[str]:
    """Sentences on a row, from its numbers."""
    said = [_as_named(f)]
    if f.claim.row == "EfficientNet-Lite (int8)":
        said.append(_calculations(f.named[0]))
    for classes, found in (("1000", f.largest_1000), ("10", f.largest)):
        missing = [board.core for board, p in found if p is None]
        if missing:
            said.append(f"With {classes} classes, no member of the family meets size and time on the {_join(missing)}.")
    rates = [p for _, p in f.largest if p is not None and p.most_per_second is not None]
    if rates and f.claim.power_w is not None:
        each = _join(f"{_rate(p)} on the {p.core} ({p.duty or 0:.1%} of the time)" for p in rates)
        said.append(f"For the largest that meet both, {f.claim.power} mW is an average that holds up to {each}.")
    return said + (_always_on(f) if f.claim.row == AUDIO else [])


def _whole(f: Finding) -> list[str]:
    """The networks that fit and meet size and time as named, on some board."""
    return sorted({p.network for p in f.named if p.fits and p.size_holds and p.time_holds})


def _as_named(f: Finding) -> str:
    claim = f.claim
    if _whole(f):
        return f"As named, size and time hold for {_join(_whole(f))}."
    smallest = min(f.named, key=lambda p: p.weights_bytes)
    mine = [p for p in f.named if p.network == smallest.network]
    parts = []
    if claim.size_bytes is not None and not smallest.size_holds:
        parts.append(f"{smallest.weights_bytes / claim.size_bytes:.1f} times the size")
    if claim.latency_s is not None:
        times = [p.latency_s / claim.latency_s for p in mine]
        parts.append(f"{min(times):.1f} to {max(times):.0f} times the time")
    if not parts:
        return f"As named, it holds on none of the boards: {smallest.network} does not fit their memories."
    return f"As named, it holds on none of the boards: {smallest.network} takes {_join(parts)}."


def _calculations(lite: Prediction) -> str:
    """What is true of 40 % fewer calculations."""
    each = _join(f"{lite.macs / load_network(name).macs - 1:+.0%} against {name}" for name in _EARLIER)
    return f"Of the calculations: {lite.network} has {lite.macs / 1e6:.0f} M MACs, {each}."


def _always_on(f: Finding) -> list[str]:
    """Which networks may run once a second; the microphone besides."""
    often = [f"{p.network} on the {p.core}" for p in f.named if p.size_holds and (p.most_per_second or 0) >= 1]
    return [
        f"Always on is at least one inference a second: that leaves {_join(often) if often else 'none of these'}.",
        "A PDM microphone alone draws 1.2 mW (MP34DT05: 650 uA at 1.8 V), so 1 mW cannot be the power of a whole node.",
    ]


def _rate(p: Prediction) -> str:
    rate = p.most_per_second
    if not rate:
        return "none at all"
    return f"{rate:.1f} inferences a second" if rate > 1.05 else f"one inference in {1 / rate:.2g} s"


def _join(words: Iterable[str]) -> str:
    listed = list(words)
    return listed[0] if len(listed) == 1 else ", ".join(listed[:-1]) + " and " + listed[-1]
