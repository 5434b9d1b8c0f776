"""`tinysim networks`: whole numbers in a pipe, JSON that parses, YAML and back."""

import json
from pathlib import Path

import pytest

from tinysim.cli.main import main
from tinysim.network.load import list_networks, load_network


def run(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["networks", *args])
    out, err = capsys.readouterr()
    assert (stop.value.code or 0, err) == (0, "")
    return out


def test_a_pipe_gets_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys)
    assert "…" not in out
    line = next(line for line in out.splitlines() if line.startswith("resnet-50-v2-224 "))
    network = load_network("resnet-50-v2-224")
    for word in (f"{network.macs:,}", f"{network.params:,}", network.source):
        assert word in line
    assert len(out.splitlines()) == len(list_networks()) + 1


def test_a_narrow_terminal_keeps_the_numbers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "90")
    out = run(capsys)
    lines = out.splitlines()
    assert max(map(len, lines[1:])) <= 90
    assert any("2,656,768" in line and "\u2026" in line for line in lines)
    assert len(lines) == len(list_networks()) + 1


def test_conventions_of_counting(capsys: pytest.CaptureFixture[str]) -> None:
    counts = {}
    for count in ("conv-fc-macs", "all-macs", "flops"):
        document = json.loads(run(capsys, "show", "tiny-transformer", "--count", count, "--json"))
        assert document["count"] == count
        assert document["operations"] == document["counts"][count] == sum(r["operations"] for r in document["layers"])
        counts[count] = document["operations"]
    assert counts["conv-fc-macs"] < counts["all-macs"] < counts["flops"] / 2
    rows = json.loads(run(capsys, "--count", "flops", "--json"))
    assert next(r["operations"] for r in rows if r["network"] == "tiny-transformer") == counts["flops"]


def test_peak_activations(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(run(capsys, "show", "vww", "--json"))
    # Input and output of the widest pointwise convolution: 48 x 48 x (8 + 16) B.
    assert document["peak_activation_bytes"] == 48 * 48 * 24


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(run(capsys, "show", "kws", "--json"))
    assert document["counts"]["all-macs"] == document["macs"] == sum(row["macs"] for row in document["layers"])
    assert sum(row["constant_bytes"] for row in document["layers"]) == document["weight_bytes"]
    out = run(capsys, "show", "kws")
    for word in ("2,656,768", "conv+fc MACs", "1 x 25 x 5 x 64", "peak activations"):
        assert word in out


def test_show_tells_dead_channels(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    half, whole = load_network("mobilenet-v1-0.25-96"), load_network("mobilenet-v1-0.5-224")
    assert "without channels" not in run(capsys, "show", "kws")
    monkeypatch.setattr("tinysim.network.graph.Network.live", property(lambda network: half))
    document = json.loads(run(capsys, "show", whole.name, "--json"))
    assert document["live_macs"] == half.macs < document["macs"]
    assert f"{half.macs:,} MACs without channels" in run(capsys, "show", whole.name)


@pytest.mark.parametrize("name", ["kws", "ic@float32", "gru-32"])
def test_export_and_back(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    path = tmp_path / "net.yaml"
    assert run(capsys, "export", name, "-o", str(path)) == ""
    assert path.read_text() == run(capsys, "export", name)
    assert load_network(path) == load_network(name)
    again = tmp_path / "again.yaml"
    run(capsys, "export", str(path), "-o", str(again))
    assert again.read_bytes() == path.read_bytes()


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(run(capsys, "schema"))["title"] == "tinysim network"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["show", "kwz"], "did you mean"),
        (["export", "kws", "-o", "/nowhere/x.yaml"], "cannot be written"),
        (["--count", "macs"], "'all-macs'"),
    ],
)
def test_one_line_per_error(capsys: pytest.CaptureFixture[str], args: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["networks", *args])
    err = capsys.readouterr().err
    assert stop.value.code == 2
    assert len(err.splitlines()) == 1
    assert message in err
