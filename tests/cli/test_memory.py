"""`tinysim memory`, the picture of the arena, and what fits."""

import json
import xml.etree.ElementTree as ElementTree

import pytest

import tinysim as ts
from tinysim.cli.main import main
from tinysim.deploy.fit import misfits, remedies, ways_out
from tinysim.errors import DoesNotFit, InputError
from tinysim.report.memory import arena_page, arena_svg

VWW = ts.deploy(ts.load_network("vww"), "nucleo-l4r5zi", "tflm-cmsis-nn")
LARGE = ts.deploy(
    ts.load_network("mobilenet-v2-1.0-224"), "stm32h747i-disco", activations_in="axi-sram", weights_in="flash"
)


def run(capsys, *args):
    with pytest.raises(SystemExit) as stop:
        main(["memory", *args])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def test_prints_map_peak_and_suggestions(capsys):
    code, out, _ = run(capsys, "kws", "-d", "nucleo-l4r5zi", "-r", "tflm-cmsis-nn")
    assert code == 0
    assert "makes the peak" in out
    assert "to need less" in out
    assert "##" in out


def test_json_sums_up(capsys):
    code, out, _ = run(capsys, "kws", "-d", "nucleo-l4r5zi", "--json")
    document = json.loads(out)
    assert code == 0
    arena = document["arena"]
    assert arena["peak_bytes"] == arena["head_bytes"] + arena["tail_bytes"]
    assert arena["head_bytes"] == max(b["offset_bytes"] + b["size_bytes"] for b in document["buffers"])
    assert document["misfits"] == []
    assert all(s["peak_bytes"] < arena["peak_bytes"] for s in document["suggestions"])


def test_writes_svg_and_page(tmp_path, capsys):
    svg, page = tmp_path / "arena.svg", tmp_path / "arena.html"
    code, _, _ = run(capsys, "kws", "-d", "nucleo-l4r5zi", "--svg", str(svg), "--html", str(page))
    assert code == 0
    assert svg.read_text(encoding="utf-8").startswith("<svg")
    assert "Suggestions" in page.read_text(encoding="utf-8")
    code, _, err = run(capsys, "kws", "-d", "nucleo-l4r5zi", "--svg", str(tmp_path))
    assert code == 2
    assert "is a directory" in err


def test_an_unknown_board_is_one_line(capsys):
    code, _, err = run(capsys, "kws", "-d", "nucleo-l4r5z")
    assert code == 2
    assert "did you mean nucleo-l4r5zi" in err


@pytest.mark.parametrize("deployment", [VWW, LARGE], ids=["vww", "mobilenet-v2"])
def test_svg_holds_every_buffer_inside_its_frame(deployment):
    root = ElementTree.fromstring(arena_svg(deployment))
    _, _, width, height = map(float, root.get("viewBox").split())
    boxes = [r for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.find("{*}title") is not None]
    buffers = len(deployment.arena.buffers) + (deployment.arena.tail_bytes > 0)
    assert len(boxes) == buffers
    for box in boxes:
        assert 0 <= float(box.get("x")) <= float(box.get("x")) + float(box.get("width")) <= width
        assert 0 <= float(box.get("y")) <= float(box.get("y")) + float(box.get("height")) <= height
    text = "".join(root.itertext())
    assert f"peak {deployment.arena.peak_bytes:,} B" in text
    assert ("axi-sram ends at 524,288 B" in text) == (deployment is LARGE)


def test_page_names_no_markup_of_the_network():
    odd = ts.deploy(ts.load_network("kws").rename("<b>kws</b>"), "nucleo-l4r5zi")
    assert "<b>" not in arena_page(odd, ())


def test_does_not_fit_names_memory_need_have_and_three_ways_out():
    with pytest.raises(DoesNotFit) as error:
        LARGE.check_fit()
    message = str(error.value)
    assert "the arena needs 1,405,952 B of axi-sram, which has 524,288 B" in message
    assert "model and code needs" in message
    named, of_flash = message.split("ways out: ")[1].split("; for the flash ")
    assert len(of_flash.split("), ")) == 3
    assert len(named.split("), ")) == 3
    assert "2 x 2 patches through the first 13 operators (468,704 B, +" in named


def test_an_estimate_is_not_blocked_but_says_so():
    estimate = ts.estimate("mobilenet-v2-1.0-224", "stm32h747i-disco", activations_in="axi-sram")
    assert not estimate.fits
    assert estimate.latency_s > 0
    assert set(misfits(estimate.deployment)) <= set(estimate.gaps)
    assert ts.estimate("kws", "nucleo-l4r5zi").fits


def test_remedies_lower_the_arena_and_name_their_price():
    ways = list(remedies(VWW))
    assert {way.changes_result for way in ways} == {True, False}
    assert all(way.peak_bytes < VWW.arena.peak_bytes and way.price for way in ways)
    assert [way.peak_bytes for way in ways_out(VWW, count=2)] == sorted(
        w.peak_bytes for w in ways if not w.changes_result
    )[:2]


def test_fit_memory_prices_on_a_device():
    plain = ts.fit_memory("vww", device="nucleo-l4r5zi", runtime="tflm-cmsis-nn")
    assert plain.kind == "layers"
    tight = ts.fit_memory("vww", "64 KiB", "nucleo-l4r5zi", "tflm-cmsis-nn")
    assert tight.kind != "layers"
    assert tight.peak_bytes <= 65536
    assert tight.latency_s >= plain.latency_s > 0
    assert ts.fit_memory("vww", "64 KiB").latency_s is None
    with pytest.raises(DoesNotFit, match="its arena needs 100,708 B, 1,000 B are there"):
        ts.fit_memory("vww", 1000)
    with pytest.raises(InputError, match="needs sram"):
        ts.fit_memory("vww")
