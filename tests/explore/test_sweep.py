"""Sweeps end with the same bytes however often they are killed and whoever computes them."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

import tinysim as ts
from tinysim.cli.main import cli
from tinysim.errors import InputError, TinysimError
from tinysim.explore.pareto import pareto_front
from tinysim.explore.query import Points
from tinysim.explore.sweep import Progress
from tinysim.explore.sweep_spec import read_sweep

SPEC: dict[str, Any] = {
    "networks": {"space": "ds-cnn", "sample": 2000, "seed": 7},
    "devices": ["nucleo-l4r5zi"],
    "runtime": "tflm-cmsis-nn",
    "parameters": {"clock_hz": [40e6, 120e6], "weights_wait_cycles": {"start": 0, "stop": 4, "count": 2}},
    "chunk_points": 200,
}
LINES = ("weights_line_bytes", "code_line_bytes", "activations_line_bytes")


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.glob("part-*.parquet"))}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep") / "whole"
    seen: list[Progress] = []
    result = ts.sweep(SPEC, folder, workers=1, progress=seen.append)
    assert result.n_points == 8_000
    assert len(digests(folder)) == result.n_files == 40
    assert seen[-1].done_points == seen[-1].fresh_points == 8_000
    assert seen[-1].eta_s == 0
    return folder


def test_points_are_complete_and_carry_units(finished: Path) -> None:
    frame = pd.read_parquet(finished)
    assert np.array_equal(np.sort(frame["point"]), np.arange(8_000))
    schema = pq.read_schema(finished / "part-0000000.parquet")
    assert schema.field("latency_s").metadata == {b"unit": b"s"}
    assert schema.field("clock_hz").metadata == {b"unit": b"Hz"}
    assert b"tinysim_version" in schema.metadata
    spec = read_sweep(SPEC)
    row = frame.iloc[17]
    space = spec.networks.search_space
    assert space is not None
    cost = ts.CostModel(
        "nucleo-l4r5zi",
        "tflm-cmsis-nn",
        clock_hz=row["clock_hz"],
        paths={"weights": {"wait_cycles": row["weights_wait_cycles"]}},
    )(space.encode(spec.networks.vectors(int(row["network"]), int(row["network"]) + 1)))
    assert (cost.latency_s, cost.energy_j, cost.sram_peak_bytes) == (
        row["latency_s"], row["energy_j"], row["sram_peak_bytes"],
    )  # fmt: skip


def test_a_killed_sweep_resumes_to_the_same_files(finished: Path, tmp_path: Path) -> None:
    file, folder = tmp_path / "spec.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump(SPEC))
    command = [sys.executable, "-m", "tinysim", "sweep", str(file), "--out", str(folder), "--workers", "1", "--quiet"]
    for wanted in (2, 9):
        process = subprocess.Popen(command, start_new_session=True)
        while len(list(folder.glob("part-*.parquet"))) < wanted and process.poll() is None:
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert 0 < len(digests(folder)) < 40
    kept = {p.name: p.stat().st_mtime_ns for p in folder.glob("part-*")}
    subprocess.run(command, check=True)
    assert digests(folder) == digests(finished)
    assert not list(folder.glob(".part-*"))
    assert all((folder / name).stat().st_mtime_ns == when for name, when in kept.items())


def test_processes_write_the_same_files(finished: Path, tmp_path: Path) -> None:
    ts.sweep(SPEC, tmp_path / "out", workers=2)
    assert digests(tmp_path / "out") == digests(finished)


def test_dask_survives_a_lost_worker(finished: Path, tmp_path: Path) -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    home = str(Path(ts.__file__).parents[1])
    quiet: dict[str, Any] = {
        "env": os.environ | {"PYTHONPATH": home},
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }
    scheduler = subprocess.Popen([*dask, "scheduler", "--host", "127.0.0.1", "--port", str(port)], **quiet)
    join = [*dask, "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    workers = [subprocess.Popen(join, cwd=tmp_path, **quiet) for _ in range(2)]
    killed: list[int] = []

    def kill_one(progress: Progress) -> None:
        if not killed and progress.done_points > 1000:
            workers[0].kill()
            killed.append(workers[0].wait())

    try:
        for _ in range(100):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        ts.sweep(SPEC, tmp_path / "out", scheduler=address, progress=kill_one)
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()
    assert killed == [-signal.SIGKILL]
    assert digests(tmp_path / "out") == digests(finished)


def changed(**fields: Any) -> dict[str, Any]:
    return SPEC | fields


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {n: v for n, v in SPEC.items() if n != "devices"} | {"devises": ["x"]},
            "devises: Extra inputs are not permitted; did you mean devices",
        ),
        (changed(parameters={"clok_hz": [1]}), "unknown parameter 'clok_hz'; did you mean clock_hz"),
        (changed(parameters={"clock_hz": []}), "clock_hz: no values"),
        (changed(parameters={"clock_hz": {"start": 9e6, "stop": 1e6, "count": 3}}), "is empty"),
        (changed(parameters={"clock_hz": ["40 parsec"]}), "does not fit"),
        (changed(parameters={"clock_hz": ["900 MHz"]}), "is outside 0 to 120 MHz"),
        (changed(networks={"space": "once-for-all"}), "points are more than 1,000,000,000,000"),
        (
            changed(parameters={"clock_hz": {"start": 1, "stop": 2, "count": 5 * 10**9}}),
            "less than or equal to 1000000",
        ),
        (changed(parameters={n: {"start": 1, "stop": 2, "count": 10**5} for n in LINES}), "points are more than"),
        (changed(parameters={"npu_sram_bytes": [1024]}), "drives no accelerator of nucleo-l4r5zi"),
        (changed(networks={"space": "ds-cn"}), "unknown space 'ds-cn'; did you mean ds-cnn"),
        (changed(networks={"space": "ds-cnn", "options": {"width": [8]}}), "unexpected keyword argument 'width'"),
        (changed(networks={"space": "ds-cnn", "options": {"widths": 7}}), "networks.options: 'int' object"),
        (changed(networks={"space": "ds-cnn", "options": {"widths": ["a"]}}), "networks.options: layer table: column"),
        (changed(networks={"space": "ds-cnn", "options": {"widths": [0]}}), "networks.options: layer table"),
        (changed(networks={"names": ["kwz"]}), "kwz"),
        (changed(networks={}), "give either names or a space"),
        (changed(devices=["nucleo-l4r5"]), "unknown device 'nucleo-l4r5'; did you mean nucleo-l4r5zi"),
        (changed(devices=[]), "devices"),
    ],
)
def test_bad_specs_fail_before_any_work(spec: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(TinysimError) as caught:
        ts.sweep(spec, tmp_path / "out")
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_bad_folders_and_schedulers(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="holds another sweep"):
        ts.sweep(changed(chunk_points=700), finished)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        ts.sweep(SPEC, tmp_path / "file" / "out")
    monkeypatch.setattr("tinysim.explore.sweep._CONNECT_S", 0.3)
    with pytest.raises(InputError, match=r"scheduler 'nonsense' is no address"):
        ts.sweep(SPEC, tmp_path / "out", scheduler="nonsense")
    with pytest.raises(InputError, match=r"scheduler 'tcp://127.0.0.1:9' does not answer"):
        ts.sweep(SPEC, tmp_path / "out", scheduler="tcp://127.0.0.1:9")
    with pytest.raises(InputError, match="workers: 0 is below 1"):
        ts.sweep(SPEC, tmp_path / "out", workers=0)
    assert not (tmp_path / "out").exists()


def test_names_of_networks(tmp_path: Path) -> None:
    spec = changed(networks={"names": ["kws", "ad"]}, parameters={})
    ts.sweep(spec, tmp_path / "out", workers=1)
    frame = pd.read_parquet(tmp_path / "out")
    assert frame["latency_s"].tolist() == [
        ts.estimate(n, "nucleo-l4r5zi", "tflm-cmsis-nn").latency_s for n in ("kws", "ad")
    ]


def test_queries(finished: Path) -> None:
    frame = pd.read_parquet(finished).sort_values("point")
    points = Points(finished)
    assert points.top(3, "energy_j")["energy_j"].tolist() == frame["energy_j"].nsmallest(3).tolist()
    front = points.pareto(["latency_s", "sram_peak_bytes"])
    expected = frame[pareto_front(frame[["latency_s", "sram_peak_bytes"]].to_numpy(float))]
    assert set(front["point"]) == set(expected["point"])
    groups = points.group("clock_hz", "latency_s")
    assert groups["points"].tolist() == [4_000, 4_000]
    assert groups["least"].tolist() == frame.groupby("clock_hz")["latency_s"].min().tolist()
    small = Points(finished, where="sram_peak_bytes < 10000")
    assert small.sql("SELECT count(*) AS n FROM points")["n"][0] == (frame["sram_peak_bytes"] < 10_000).sum()
    with pytest.raises(InputError, match="no column 'energy'; did you mean energy_j"):
        points.top(1, "energy")
    with pytest.raises(InputError, match="query: "):
        points.sql("SELEKT 1")
    with pytest.raises(InputError, match="no results of a sweep"):
        Points(finished / "nowhere")


def test_query_command(finished: Path) -> None:
    for extra in (["--top", "2"], ["--pareto", "latency_s,flash_bytes"], ["--best", "energy_j", "--by", "clock_hz"]):
        result = CliRunner().invoke(cli, ["query", str(finished), *extra])
        assert result.exit_code == 0, result.output
        assert "points" in result.output or "latency_s" in result.output
    result = CliRunner().invoke(cli, ["query", str(finished), "--sql", "SELECT 1 AS one", "--json"])
    assert '"one": 1' in result.output
