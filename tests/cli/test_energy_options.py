"""`tinysim estimate` at another supply, regulator and temperature."""

import json

import pytest

from tinysim.cli.main import main


def run(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["estimate", "kws", "-d", "nucleo-l4r5zi", "-r", "x-cube-ai-7.3", *options])
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def test_operating_point_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    def energy(*options: str) -> float:
        code, out, _ = run(capsys, "--json", *options)
        assert code == 0
        return float(json.loads(out)["energy_j"])

    at_1v8 = energy("--supply", "1.8 V")
    assert energy("--supply", "3.0 V") == pytest.approx(at_1v8 * 3.0 / 1.8)
    assert energy("--supply", "3.0 V", "--regulator", "smps") < at_1v8
    assert energy("--temperature", "85") > energy()


def test_an_impossible_supply_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "--supply", "12 V")
    assert code == 2
    assert "supply 12 V is outside 0.5 to 6 V" in err
    assert err.strip().count("\n") == 0
