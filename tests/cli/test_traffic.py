"""`tinysim traffic`."""

import json

import pytest

from tinysim.cli.main import main


def run(*args):
    with pytest.raises(SystemExit) as code:
        main(["traffic", *args])
    return code.value.code


def test_table_plot_and_transfers(capsys, tmp_path):
    plot, csv = tmp_path / "roof.svg", tmp_path / "transfers.csv"
    assert run("kws", "-d", "nucleo-l4r5zi", "--plot", str(plot), "--csv", str(csv)) == 0
    said = capsys.readouterr().out
    assert "bound by" in said
    assert "flash" in said
    assert plot.read_text().startswith("<?xml")
    assert csv.read_text().splitlines()[0].startswith("layer,name,source,sink,what,asked_bytes")


def test_json(capsys):
    assert run("kws", "-d", "stm32h747i-disco", "-r", "x-cube-ai-7.3", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["bandwidth_bytes_per_s"]["axi-sram"] > 0
    assert {row["what"] for row in document["transfers"]} == {"weights", "activations"}


def test_another_suffix_is_refused(capsys, tmp_path):
    assert run("kws", "-d", "nucleo-l4r5zi", "--plot", str(tmp_path / "roof.gif")) == 2
    assert "pictures are .png, .svg or .pdf" in capsys.readouterr().err
