"""The survey's table: claims are read right, verdicts follow from the numbers, the page is what the code says."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysim.cli.main import main
from tinysim.report.survey import BOARDS, claims, most_per_second, predict
from tinysim.report.survey_markdown import survey_markdown
from tinysim.report.survey_page import specs_fingerprint, survey_document

PAGE = Path(__file__).parents[2] / "docs" / "survey.md"
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return survey_document()


def test_bounds_of_the_claims() -> None:
    found = {row: (c.size_bytes, c.latency_s, c.power_w) for row, c in claims().items()}
    assert found["MobileNetV2 (quantized)"] == pytest.approx((300e3, 0.1, 5e-3))
    assert found["SqueezeNet-Lite (pruned)"] == pytest.approx((576e3, 0.132, 7e-3))
    assert found["Pruning + quantization"] == pytest.approx((200e3, 0.084, 3e-3))
    assert found["Edge TPU"] == (None, pytest.approx(1e-3), None)
    assert found["int8 quantization"] == found["CMSIS-NN optimized models"] == (None, None, None)


@given(st.floats(1e-6, 1), st.floats(1e-4, 10), st.floats(1e-5, 0.1), st.floats(0, 1e-2))
def test_the_average_power_at_the_highest_rate_is_the_claimed(
    energy_j: float, latency_s: float, power_w: float, sleep_w: float
) -> None:
    rate = most_per_second(energy_j, latency_s, power_w, sleep_w)
    average_w = rate * energy_j + (1 - rate * latency_s) * sleep_w
    assert 0 <= rate <= (1 + 1e-9) / latency_s
    assert average_w <= max(power_w, sleep_w) * (1 + 1e-6) or energy_j < latency_s * sleep_w
    if 0 < rate < 0.999 / latency_s:
        assert average_w == pytest.approx(power_w)


def test_largest_members_meet_their_claims(document: dict[str, Any]) -> None:
    seen = 0
    for entry in document["networks"]:
        claim = document["claims"][entry["row"]]
        for item in (*entry["largest"], *entry["largest_1000_classes"]):
            p = item["prediction"]
            if p is not None:
                seen += 1
                assert p["fits"]
                assert p["weights_bytes"] <= claim["size_bytes"]
                assert claim["latency_s"] is None or p["latency_s"] <= claim["latency_s"]
    assert seen > 3


def test_predictions_are_those_of_the_estimate(document: dict[str, Any]) -> None:
    from tinysim.estimate.engine import estimate
    from tinysim.network.load import load_network

    named = {(p["network"], p["device"]): p for entry in document["networks"] for p in entry["as_named"]}
    result = estimate("mlperf-tiny-sww", "nucleo-l4r5zi", "tflm-cmsis-nn")
    assert named["mlperf-tiny-sww", "nucleo-l4r5zi"]["latency_s"] == result.latency_s
    claim = claims()["always-on audio model"]
    again = predict(load_network("mlperf-tiny-sww"), BOARDS[1], claim)
    assert again.energy_j == result.energy_j


def test_ratios_agree_in_direction_with_what_was_measured(document: dict[str, Any]) -> None:
    ratios = document["ratios"]
    assert all(r["ratio"] == 1 for r in ratios if r["what"].endswith("dense kernels"))
    assert all(
        3.5 < r["ratio"] <= 4 for r in ratios if r["claim"] == "int8 quantization" and r["quantity"] == "weights"
    )
    speeds = [r["ratio"] for r in ratios if r["claim"].startswith("CMSIS") and r["quantity"] == "speed"]
    assert min(speeds) > 1
    assert all(r["ratio"] > 1 for r in ratios if r["claim"].startswith("NAS"))


def test_every_measured_ratio_has_a_source(document: dict[str, Any]) -> None:
    for row in document["measured_ratios"]:
        assert row["source"]
        assert float(row["low"]) <= float(row["median"]) <= float(row["high"])
        assert row["claim"] in document["claims"]


def test_every_claim_is_on_the_page(document: dict[str, Any]) -> None:
    text = survey_markdown(document).lower()
    for row, claim in document["claims"].items():
        assert row.split(" (")[0].split("-generated")[0].lower() in text, row
        assert all(claim[key].lower() in text for key in ("power", "size") if claim[key])


def frame(page: str) -> list[str]:
    """What no figure changes: headings, claims, headers of tables, what was measured."""
    lines = page.splitlines()
    kept = [line for line in lines if line.startswith(("#", "Claimed:"))]
    kept += [header for header, rule in itertools.pairwise(lines) if rule.startswith("| ---")]
    return kept + [line for line in lines if "github.com" in line or "arXiv" in line or "EdgeMark" in line]


def test_the_page_is_up_to_date(document: dict[str, Any]) -> None:
    """Figures are compared where the page was made with these specs: a refit alone makes no test fail."""
    written, made = PAGE.read_text(encoding="utf-8"), survey_markdown(document)
    advice = "run: tinysim reproduce survey-table1 --markdown docs/survey.md"
    assert frame(written) == frame(made), advice
    if f"`{document['specs']}`" not in written:
        return
    assert NUMBER.sub("#", written) == NUMBER.sub("#", made), advice
    for old, new in zip(NUMBER.findall(written), NUMBER.findall(made), strict=True):
        assert float(old.replace(",", "")) == pytest.approx(float(new.replace(",", "")), rel=0.06), advice


def test_the_fingerprint_follows_the_specs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "a.yaml").write_text("clock: 1\n")
    monkeypatch.setattr("tinysim.report.survey_page.spec_folder", lambda: tmp_path)
    first = specs_fingerprint()
    (tmp_path / "boards" / "a.yaml").write_text("clock: 2\n")
    assert len(first) == 8
    assert specs_fingerprint() != first


def test_the_command_prints_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, document: dict[str, Any], tmp_path: Path
) -> None:
    monkeypatch.setattr("tinysim.report.survey_page.survey_document", lambda: document)
    page = tmp_path / "page.md"
    for args, starts in ((["--json"], "{"), ([], "# A survey"), (["--markdown", str(page)], "")):
        with pytest.raises(SystemExit) as stop:
            main(["reproduce", "survey-table1", *args])
        out = capsys.readouterr().out
        assert not stop.value.code
        assert out.startswith(starts)
        if args == ["--json"]:
            assert json.loads(out) == json.loads(json.dumps(document))
    assert page.read_text(encoding="utf-8") == survey_markdown(document)
