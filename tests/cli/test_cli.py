"""The command as a user runs it: documents that parse, one line per error, exit code 2."""

import json
from pathlib import Path

import pytest

from tinysim.cli.main import COMMANDS, main

MODEL = Path(__file__).parents[2] / "examples" / "models" / "kws_dscnn_int8.tflite"


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(args))
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def test_estimate_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "estimate", str(MODEL), "--device", "nucleo-l4r5zi", "--runtime", "tflm-cmsis-nn")
    assert code == 0
    for word in ("2,656,768", "SRAM arena", "persistent", "stall: weights", "interval", "flash", "energy"):
        assert word in out


def test_estimate_json_and_csv(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    csv = tmp_path / "layers.csv"
    code, out, _ = run(capsys, "estimate", str(MODEL), "-d", "nucleo-l4r5zi", "--json", "--csv", str(csv))
    document = json.loads(out)
    assert code == 0
    assert document["macs"] == 2_656_768
    assert len(csv.read_text().splitlines()) == len(document["layers"]) + 1


def test_sensitivity_of_an_estimate(capsys: pytest.CaptureFixture[str]) -> None:
    common = ("estimate", str(MODEL), "-d", "nucleo-l4r5zi", "--sensitivity")
    code, out, _ = run(capsys, *common, "--json")
    figures = {(row["part"], row["figure"]): row for row in json.loads(out)["figures"]}
    assert code == 0
    assert figures["cortex-m4", "clock"]["latency_change"] == pytest.approx(1 / 1.01 - 1)
    _, out, _ = run(capsys, *common, "--step", "100")
    assert "flash: wait states" in out
    assert run(capsys, *common, "--step", "-100")[0] == 2


def test_compare_boards_runtimes_and_networks(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "compare", str(MODEL), "-d", "nucleo-l4r5zi", "-d", "nrf5340-dk", "--json")
    document = json.loads(out)
    assert code == 0
    assert sum(document["causes_s"].values()) == pytest.approx(document["difference_s"])
    picture = tmp_path / "why.svg"
    builds = ("--build", "-O3", "--build", "-Os", "--plot", str(picture))
    code, out, _ = run(capsys, "compare", "kws", "-d", "nucleo-l4r5zi", *builds)
    assert code == 0
    assert "-Os takes" in out
    assert picture.read_text().startswith("<?xml")
    code, out, _ = run(capsys, "compare", "kws", "vww", "-d", "nucleo-l4r5zi")
    assert "layers that only one of them has" in out
    assert run(capsys, "compare", "kws", "-d", "nucleo-l4r5zi", "--plot", "why.txt")[0] == 2
    assert run(capsys, "compare", "a", "b", "c", "-d", "nucleo-l4r5zi")[0] == 2


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_has_an_example(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert f"tinysim {command}" in out
    assert "Example" in out


def test_lists_devices_and_networks(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "devices", "--json")
    assert "nucleo-l4r5zi" in {row["device"] for row in json.loads(out)}
    _, out, _ = run(capsys, "devices", "show", "nucleo-l4r5zi")
    assert "rm0432" in out
    _, out, _ = run(capsys, "networks", "--json")
    assert {row["network"]: row["macs"] for row in json.loads(out)}["mlperf-tiny-kws"] == 2_656_768


def test_devices_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "devices", "compare", "nucleo-l4r5zi", "nrf5340-dk", "--json")
    rows = {row["property"]: row for row in json.loads(out)}
    assert code == 0
    assert rows["clock"] == {"property": "clock", "nucleo-l4r5zi": "120 MHz", "nrf5340-dk": "128 MHz"}
    assert "5 wait states" in rows["flash (code, weights)"]["nucleo-l4r5zi"]
    _, out, _ = run(capsys, "devices", "compare", "nucleo-l4r5zi", "nrf5340-dk")
    assert "deepest sleep" in out
    assert run(capsys, "devices", "compare", "nucleo-l4r5zi", "nowhere")[0] == 2


def bad_files(folder: Path) -> dict[str, bytes]:
    good = MODEL.read_bytes()
    huge = bytearray(good)
    huge[0:4] = (0x7FFFFFFF).to_bytes(4, "little")
    return {
        "empty.tflite": b"",
        "truncated.tflite": good[: len(good) // 3],
        "random.tflite": bytes((i * 7919 + 13) % 251 for i in range(4096)),
        "huge.tflite": bytes(huge),
    }


@pytest.mark.parametrize("name", ["empty.tflite", "truncated.tflite", "random.tflite", "huge.tflite"])
def test_a_bad_file_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(bad_files(tmp_path)[name])
    code, out, err = run(capsys, "estimate", str(path), "-d", "nucleo-l4r5zi")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert name in err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["estimate", "kws", "-d", "nucleo-l4r5"], "did you mean nucleo-l4r5zi"),
        (["estimate", "kws", "-d", "nucleo-l4r5zi", "-r", "esp-nn"], "has no runtime"),
        (["estimate", "kwz", "-d", "nucleo-l4r5zi"], "did you mean"),
        (["estimate", "nowhere.tflite", "-d", "nucleo-l4r5zi"], "no such file"),
        (["estimate", "kws", "-d", "nucleo-l4r5zi", "--clock", "fast"], "is no quantity"),
        (["estimate", "kws", "-d", "nucleo-l4r5zi", "--clock", "1 GHz"], "outside"),
        (["estimate", "kws", "-d", "nucleo-l4r5zi", "--level", "90"], "between 0 and 1"),
        (["estimate", "kws"], "--device"),
        (["estimat"], "No such command"),
        (["devices", "show", "nucleo"], "unknown device"),
        (["estimate", "kws", "-d", "nucleo-l4r5zi", "--csv", "/nowhere/x.csv"], "cannot be written"),
    ],
)
def test_a_wrong_argument_is_one_line(capsys: pytest.CaptureFixture[str], args: list[str], message: str) -> None:
    code, _, err = run(capsys, *args)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert message in err


def test_calibrate_writes_a_file_that_estimate_takes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("network,runtime,latency_ms\nkws,tflm-cmsis-nn,120\nic,tflm-cmsis-nn,500\nad,tflm-cmsis-nn,11\n")
    code, out, _ = run(capsys, "calibrate", str(rows), "-d", "nucleo-l4r5zi")
    path = tmp_path / "rows.calibration.yaml"
    assert code == 0
    assert f"written: {path}" in out
    estimate = ("estimate", "kws", "-d", "nucleo-l4r5zi", "-r", "tflm-cmsis-nn", "--json")
    _, plain, _ = run(capsys, *estimate)
    _, fitted, _ = run(capsys, *estimate, "--calibration", str(path))
    errors = [abs(json.loads(text)["latency_s"] / 0.12 - 1) for text in (plain, fitted)]
    assert errors[1] < errors[0]
    code, _, err = run(capsys, "calibrate", str(rows), "-d", "nucleo-l4r5zi", "--out", str(rows))
    assert code == 2
    assert "no calibration" in err
    assert rows.read_text().startswith("network,")
