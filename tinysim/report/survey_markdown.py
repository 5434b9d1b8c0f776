"""The tested survey as a page in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tinysim.report.survey import ABOUT, AUDIO
from tinysim.report.text import si

__all__ = ["survey_markdown"]

_INTRO = """# A survey's table, tested

*Made by `tinysim reproduce survey-table1 --markdown docs/survey.md`; change the code, not the page. Device specs and
calibration: `{specs}`.*

Table 1 of a survey of compressed networks on microcontrollers ({source}) lists sizes, times and
powers without boards, input sizes or duty cycles. Here each row is predicted on three boards, and then turned round:
which network of the family, at which resolution, how often, would make it true?

- **Size** is that of weights and biases as stored; a program adds its code (TFLM with CMSIS-NN about 100 kB).
- **Power** is the average over inference and sleep at so many inferences a second. Waking up, sensors, feature
  extraction and radio come on top.
- `~` allows {about:.0%} more; of a range, the upper end counts. Smaller, quicker and thriftier than claimed is fine.
- **Accuracy is not predicted.** That a pruned or narrow network fits says nothing of what it still recognises.
- Times carry 90 % intervals, made from the residuals that the table of boards names. Verdicts use the middle.
- Where a predicted ratio lies outside the measured ones beside it, believe the measured.
- The STM32H747 of many published rows has no known current; the STM32H7A3 stands for the Cortex-M7.
"""
_EDGE_TPU = """
The Coral Edge TPU is a host's accelerator, not a microcontroller's. Its maker gives 2.2 ms for MobileNetV1 and 2.3 ms
for MobileNetV2 (coral.ai, Edge TPU benchmarks). No energy per inference is published, and none is predicted.
"""
#: Part of a claim -> what follows its figure.
_CLAIMED = {"size": " kB", "time": " ms", "power": " mW", "accuracy": " accuracy"}
_RATIO_ROWS = ("CMSIS-NN optimized models", "int8 quantization", "weight pruning", "NAS-generated (ProxylessNAS)")


def survey_markdown(document: dict[str, Any]) -> str:
    """The document of `survey_document` as a page."""
    rows = document["claims"]
    source = next(iter(rows.values()))["source"]
    intro = _INTRO.format(source=source, about=ABOUT - 1, specs=document["specs"])
    parts = [intro, _boards(document["boards"]), _support(document), _again(document)]
    parts += [_network_section(entry, rows[entry["row"]]) for entry in document["networks"]]
    parts += [_ratio_section(document, rows[row]) for row in _RATIO_ROWS]
    return "\n".join([*parts, _edge_tpu(document["edge_tpu"], rows["Edge TPU"])])


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: int) -> str:
    """A Markdown table whose last `numbers` columns are right-justified."""
    rules = ["---"] * (len(header) - numbers) + ["---:"] * numbers
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, rules, *rows))


def _two(value: float | None, unit: str) -> str:
    """Two digits with a prefix.

    >>> _two(0.3712, "s"), _two(None, "J")
    ('370 ms', 'unknown')
    """
    return si(None if value is None else float(f"{value:.1e}"), unit)


def _kb(n_bytes: float) -> str:
    return f"{n_bytes / 1000:,.0f} kB"


def _mega(macs: float) -> str:
    return f"{macs / 1e6:,.2f} M" if macs < 1e7 else f"{macs / 1e6:,.0f} M"


def _boards(boards: Sequence[dict[str, Any]]) -> str:
    header = ["core", "board", "runtime", "interval made from", "clock", "running", "asleep, SRAM kept"]
    rows = [
        [
            *(b[key] for key in ("core", "device", "runtime", "basis")),
            si(b["clock_hz"], "Hz", 3),
            _two(b["running_power_w"], "W"),
            _two(b["sleep_power_w"], "W"),
        ]
        for b in boards
    ]
    return _table(header, rows, 3)


_AGAIN = """
## The table again

Does a row hold for its network as published? Which is the largest network of the family that meets size and time, with
1000 classes or else with 10, and how often may it run within the power?

"""


def _again(document: dict[str, Any]) -> str:
    """The survey's rows on networks, with what would make each true."""
    cores = [b["core"] for b in document["boards"]]
    rows = []
    for entry in document["networks"]:
        claim = document["claims"][entry["row"]]
        said = ", ".join(f"{claim[key]}{_CLAIMED[key]}" for key in ("size", "time", "power") if claim[key])
        named = f"yes: {', '.join(entry['whole'])}" if entry["whole"] else "no"
        rows.append([entry["row"], said, named, *(_makes_true(entry, core) for core in cores)])
    return _AGAIN + _table(["row", "claimed", "size and time as named", *cores], rows, 0)


def _makes_true(entry: dict[str, Any], core: str) -> str:
    for key in ("largest_1000_classes", "largest"):
        for item in entry[key]:
            p = item["prediction"]
            if item["core"] == core and p is not None:
                return f"{p['network']}, up to {_often(p)}"
    return "nothing of the family"


# ---------------------------------------------------------------- rows that name networks


def _network_section(entry: dict[str, Any], claim: dict[str, Any]) -> str:
    said = ", ".join(f"{claim[key]}{unit}" for key, unit in _CLAIMED.items() if claim[key])
    text = f"\n## {entry['row'][0].upper()}{entry['row'][1:]}\n\nClaimed: {said}; {claim['text']}.\n\n"
    text += (
        "\n".join(f"- {sentence}" for sentence in entry["verdict"]) + "\n\nAs named (**bold** misses the claim):\n\n"
    )
    header = ["network", "core", "fits", "weights", "arena", "time (90 %)", "energy", "claimed power up to"]
    named = [
        [
            p["network"],
            p["core"],
            "yes" if p["fits"] else "**no**",
            _met(_kb(p["weights_bytes"]), p["size_holds"]),
            _kb(p["sram_bytes"]),
            _met(_time(p), p["time_holds"]),
            _two(p["energy_j"], "J"),
            _often(p),
        ]
        for p in entry["as_named"]
    ]
    text += _table(header, named, 5)
    if not entry["largest_1000_classes"]:
        return text
    header = ["network", "core", "classes", "weights", "MACs", "time (90 %)", "energy", "claimed power up to"]
    largest = [
        [
            p["network"],
            item["core"],
            classes,
            _kb(p["weights_bytes"]),
            _mega(p["macs"]),
            _time(p),
            _two(p["energy_j"], "J"),
            _often(p),
        ]
        for classes, key in (("10", "largest"), ("1000", "largest_1000_classes"))
        for item in entry[key]
        if (p := item["prediction"]) is not None
    ]
    return (
        text + f"\nThe largest that fits and meets size and time ({entry['width']}):\n\n" + _table(header, largest, 5)
    )


def _met(words: str, holds: bool) -> str:
    return words if holds else f"**{words}**"


def _time(p: dict[str, Any]) -> str:
    low, high = (_two(p[f"latency_{end}_s"], "s") for end in ("low", "high"))
    return f"{_two(p['latency_s'], 's')} ({low} to {high})"


def _often(p: dict[str, Any]) -> str:
    if p["most_per_second"] is None:
        return "unknown"
    rate = p["most_per_second"]
    if not rate:
        return "never"
    return f"{rate:.2g} /s" if rate >= 1 else f"1 in {1 / rate:,.2g} s" if rate > 0.1 else f"1 in {1 / rate:,.0f} s"


# ---------------------------------------------------------------- rows that state ratios


def _ratio_section(document: dict[str, Any], claim: dict[str, Any]) -> str:
    row = claim["row"]
    nas = "NAS" in row
    said = claim["text"] if nas else ", ".join(claim[key] for key in _CLAIMED if claim[key])
    title = "NAS: energy" if nas else row[0].upper() + row[1:]
    text = f"\n## {title}\n\nClaimed: {said}. Ratios are before over after.\n\n"
    mine: dict[tuple[str, str, str], list[float]] = {}
    for r in document["ratios"]:
        if r["claim"] == row:
            mine.setdefault((r["what"], r["core"], r["quantity"]), []).append(r["ratio"])
    predicted = [[*key, str(len(values)), _range(values)] for key, values in mine.items()]
    text += _table(["predicted", "core", "quantity", "networks", "ratio"], predicted, 2)
    measured = [
        [
            *(r[key] for key in ("technique", "device", "networks", "quantity", "source", "rows")),
            _range([float(r["low"]), float(r["high"])]),
            f"{float(r['median']):.2f}",
        ]
        for r in document["measured_ratios"]
        if r["claim"] == row
    ]
    header = ["measured", "device", "networks", "quantity", "source", "rows", "ratio", "median"]
    return text + "\n" + _table(header, measured, 3)


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def _edge_tpu(rows: Sequence[dict[str, Any]], claim: dict[str, Any]) -> str:
    table = [[r["network"], _mega(r["macs"]), _two(r["latency_s"], "s")] for r in rows]
    text = f"\n## Edge TPU\n\nClaimed: {claim['time'].replace('1', '1 ms')}.\n\n"
    return text + _table(["network", "MACs", "time"], table, 2) + _EDGE_TPU


# ---------------------------------------------------------------- summary

_SUPPORT = """
## What the numbers support

- **Milliwatts are duty cycles.** Running, the boards draw {power_low:.0f} to {power_high:.0f} mW whatever the network.
  The claimed 1 to 7 mW are averages: they hold if the largest networks below run {duty_low:.2g} to {duty_high:.2g} % of
  the time. Without a rate of inferences they say nothing.
- **The named networks are too large.** At published widths and resolutions, {met} of {tried} predictions fit and meet
  size and time together. The figures suit narrow members of the families at low resolutions, mostly with few classes.
- **CMSIS-NN** is predicted to run {speed} times as fast as reference kernels (measured: {speed_measured}), for
  {energy} times less energy. The power while running stays (ratio {running}): 40 % less power is true of the average at
  a fixed rate.
- **int8** shrinks weights {weights} times, but the whole program only {flash} and the arena {arena} times. The networks
  of MLPerf Tiny are predicted {faster} times as fast (measured: {faster_measured}); small dense and recurrent networks
  gain little or lose.
- **Zeros save nothing by themselves:** ratio {dense} with dense kernels, as measured. They save storage if the format
  packs them, and time where a runtime has sparse kernels or whole channels go.
- **Architecture search:** at equal or better accuracy the searched networks need {saved_low:.0f} to {saved_high:.0f} %
  less energy than scaled MobileNetV2. Some 40 % is supported, for such pairs.
- **Edge TPU:** {tpu_low:.1f} to {tpu_high:.1f} ms are predicted. Below 1 ms holds for small networks, not for those of
  ImageNet.
"""


def _support(document: dict[str, Any]) -> str:
    """What the numbers support, with the numbers."""

    def ratios(claim: str, quantity: str, what: str = "") -> list[float]:
        rows = (r for r in document["ratios"] if r["claim"] == claim and r["quantity"] == quantity)
        return [r["ratio"] for r in rows if what in r["what"]]

    def measured(claim: str, device: str) -> str:
        rows = [r for r in document["measured_ratios"] if r["claim"] == claim and r["quantity"] == "speed"]
        return _range([float(r[end]) for r in rows if device in r["device"] for end in ("low", "high")])

    cmsis, int8, pruning, search = _RATIO_ROWS
    powers = [b["running_power_w"] * 1e3 for b in document["boards"]]
    largest = [item["prediction"] for entry in document["networks"] for item in entry["largest"]]
    duties = [p["duty"] * 100 for p in largest if p is not None and p["duty"] is not None]
    tried = [p for entry in document["networks"] if entry["row"] != AUDIO for p in entry["as_named"]]
    saved = [100 * (1 - 1 / ratio) for ratio in ratios(search, "energy")]
    tpu = [r["latency_s"] * 1e3 for r in document["edge_tpu"]]
    return _SUPPORT.format(
        power_low=min(powers),
        power_high=max(powers),
        duty_low=min(duties),
        duty_high=max(duties),
        met=sum(p["fits"] and p["size_holds"] and p["time_holds"] for p in tried),
        tried=len(tried),
        speed=_range(ratios(cmsis, "speed")),
        speed_measured=measured(cmsis, ""),
        energy=_range(ratios(cmsis, "energy")),
        running=_range(ratios(cmsis, "power while running")),
        weights=_range(ratios(int8, "weights")),
        flash=_range(ratios(int8, "flash of the program")),
        arena=_range(ratios(int8, "arena")),
        faster=_range(ratios(int8, "speed")),
        faster_measured=measured(int8, "L4R5"),
        dense=_range(ratios(pruning, "speed", "zero")),
        saved_low=min(saved),
        saved_high=max(saved),
        tpu_low=min(tpu),
        tpu_high=max(tpu),
    )
