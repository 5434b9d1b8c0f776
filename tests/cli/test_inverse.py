"""`tinysim inverse` answers as `least_design` does, and says what is wrong in one line."""

import json

import pytest

from tinysim.cli.main import main
from tinysim.explore.inverse import least_design

DESIGN = "systolic-16x16-ws"


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(["inverse", *args])
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


def test_least_sram_for_30_frames_per_second(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["vww", "-d", DESIGN, "--vary", "npu_sram_bytes", "--between", "1 KiB", "1 MiB", "--rate", "30"]
    code, out, _ = run(capsys, *asked, "--set", "npu_dram_bytes_per_s=25 MB/s", "--json")
    found = json.loads(out)
    same = least_design(
        "vww", DESIGN, vary="npu_sram_bytes", low=1024, high=1 << 20, goal=1 / 30, fixed={"npu_dram_bytes_per_s": 25e6}
    )
    assert code == 0
    assert found == json.loads(json.dumps(same.to_dict()))
    assert found["achieved"] <= 1 / 30
    assert found["value"] == found["beyond"] + 1
    seen = {row["parameter"] for row in found["sensitivities"]}
    assert {"npu_sram_bytes", "npu_dram_bytes_per_s", "npu_array_in_c", "npu_clock_hz"} <= seen
    code, out, _ = run(capsys, *asked, "--set", "npu_dram_bytes_per_s=25 MB/s")
    assert code == 0
    assert "least npu_sram_bytes: 9.0 KiB (9,216 B)" in out
    assert "latency per 1 % more of it" in out


def test_smallest_array_and_most_wait_states(capsys: pytest.CaptureFixture[str]) -> None:
    sides = "npu_array_in_c,npu_array_out_c"
    _, out, _ = run(capsys, "kws", "-d", DESIGN, "--vary", sides, "--between", "1", "64", "--energy", "20 uJ", "--json")
    found = json.loads(out)
    assert found["figure"] == "energy_j"
    assert found["achieved"] <= 20e-6
    assert found["parameters"]["npu_array_in_c"] == found["parameters"]["npu_array_out_c"] == found["value"]
    waits = ["kws", "-d", "nucleo-l4r5zi", "--vary", "weights_wait_cycles", "--between", "0", "20"]
    _, out, _ = run(capsys, *waits, "--latency", "110 ms", "--json")
    found = json.loads(out)
    assert found["achieved"] <= 0.11
    assert 0 < found["value"] < found["beyond"]
    assert "most weights_wait_cycles" in run(capsys, *waits, "--latency", "110 ms")[1]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("kwz -d DESIGN --vary npu_sram_bytes --between 1 2 --rate 30", "'kwz' is not a network"),
        ("kws -d nowhere --vary clock_hz --between 1 2 --rate 30", "unknown device 'nowhere'"),
        ("kws -d DESIGN --vary npu_sram --between 1 2 --rate 30", "did you mean npu_sram_bytes"),
        ("kws -d DESIGN --vary npu_sram_bytes --between 1 2", "one goal is needed"),
        ("kws -d DESIGN --vary npu_sram_bytes --between 1 2 --rate 30 --energy 1uJ", "got rate and energy"),
        ("kws -d DESIGN --vary npu_sram_bytes --between 4KiB 1KiB --rate 30", "from 4096.0 to 1024.0 is empty"),
        ("kws -d DESIGN --vary npu_sram_bytes --between 1KiB nan --rate 30", "is empty"),
        ("kws -d DESIGN --vary npu_sram_bytes --between 1MHz 2KiB --rate 30", "unit 'MHz' does not fit"),
        ("kws -d DESIGN --vary npu_sram_bytes --between 1KiB 2KiB --latency 1ns", "even npu_sram_bytes = 2048 gives"),
        ("kws -d DESIGN --vary npu_sram_bytes --between 1KiB 2KiB --rate 0", "--rate: 0 is not above 0"),
        ("kws -d DESIGN --vary npu_sram_bytes --between 1KiB 2KiB --rate 30 --set npu_clock", "no NAME=VALUE"),
        ("kws -d nucleo-l4r5zi --vary npu_sram_bytes --between 1KiB 2KiB --rate 30", "drives no accelerator"),
        ("kws -d nucleo-l4r5zi --vary clock_hz --between 1MHz 900MHz --rate 5", "outside 0 to 120 MHz"),
        ("kws -d nucleo-l4r5zi --vary clock_hz,weights_wait_cycles --between 1 9 --rate 5", "do not help together"),
        ("kws -d nucleo-l4r5zi --vary clock_hz --between 4MHz 120MHz --energy=-1mJ", "a goal above 0"),
    ],
)
def test_one_clear_error(capsys: pytest.CaptureFixture[str], args: str, message: str) -> None:
    code, out, err = run(capsys, *args.replace("DESIGN", DESIGN).split())
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
