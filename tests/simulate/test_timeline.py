"""The result: frames, JSON, the Chrome trace checked against its format, the picture, and the command."""

import json
from itertools import pairwise

import pytest
from click.testing import CliRunner

from tinysim.cli.main import cli, main
from tinysim.deploy.deployment import deploy
from tinysim.errors import InputError
from tinysim.network.load import load_network
from tinysim.simulate.engine import simulate, simulate_system
from tinysim.simulate.perfetto import check_trace
from tinysim.simulate.soc import AcceleratorSpec, MemorySpec, SocSpec
from tinysim.simulate.timeline import Timeline
from tinysim.simulate.work import NpuLayer, NpuWork, Use, Work
from tinysim.simulate.workload import Sensor, System, Task, Traffic


@pytest.fixture(scope="module")
def timeline() -> Timeline:
    camera = Traffic(name="camera", n_bytes=288, target="sram", period_s=5e-3)
    microphone = Sensor(name="microphone", rate_hz=16_000, watermark=64, target="sram")
    deployment = deploy(load_network("kws"), "nucleo-l4r5zi", "tflm-cmsis-nn")
    return simulate(deployment, traffic=[camera], sensors=[microphone])


@pytest.fixture(scope="module")
def mixed() -> Timeline:
    """Two tasks, one on an accelerator, that overtake each other."""
    soc = SocSpec(clock_hz=3e6, memories=(MemorySpec(name="sram"),), accelerator=AcceleratorSpec(), switch_cycles=3)
    command = NpuWork("c", (NpuLayer("conv", 400, (Use("sram", 300, 1200),), 8), NpuLayer("fc", 90)))
    vision = Task(name="vision", works=(Work("driver", 10), command, Work("argmax", 5)), period_s=1e-3, deadline_s=1e-3)
    audio = Task(name="audio", works=(Work("a", 700, (Use("sram", 350, 1400),)),), period_s=0.7e-3, priority=-1)
    return simulate_system(System(soc=soc, tasks=(vision, audio)), until_s=20e-3)


def test_frames_have_units_and_sum_to_the_totals(timeline):
    frame = timeline.to_frame()
    core = frame[frame.resource == "core0"]
    assert core.duration_s.sum() == pytest.approx(timeline.latency_s)
    assert (core.end_cycles - core.start_cycles).sum() == timeline.cycles
    assert frame.energy_j.sum() == pytest.approx(timeline.energy_j)
    assert set(frame.kind) == {"layer", "interrupt", "transfer"}
    jobs = timeline.jobs_frame()
    assert list(jobs.columns) == [
        "task",
        "number",
        "release_s",
        "start_s",
        "end_s",
        "response_s",
        "deadline_s",
        "dropped",
    ]
    assert jobs[jobs.task == "mlperf-tiny-kws"].response_s.item() == pytest.approx(timeline.latency_s)


def test_unknown_power_withholds_energy(mixed):
    assert mixed.energy_j is None
    assert mixed.to_frame().energy_j.isna().all()
    assert mixed.to_dict()["energy_j"] is None
    assert {span["joules"] for span in mixed.to_dict()["spans"]} == {None}


@pytest.mark.parametrize("which", ["timeline", "mixed"])
def test_traces_follow_the_format_and_nest(which, request):
    timeline = request.getfixturevalue(which)
    document = json.loads(json.dumps(timeline.to_perfetto(), allow_nan=False))
    assert check_trace(document) > len(timeline.spans)
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in document["traceEvents"] if e["name"] == "thread_name"}
    complete = [e for e in document["traceEvents"] if e["ph"] == "X"]
    core = [e for e in complete if names[e["pid"], e["tid"]] == "core0"]
    assert sum(e["args"]["cycles"] for e in core) == timeline.cycles
    assert sum(e["dur"] for e in core) == pytest.approx(timeline.latency_s * 1e6, abs=1e-3)
    jobs = [e for e in complete if e["cat"] == "job"]
    assert len(jobs) == sum(job.start is not None for job in timeline.jobs)


def test_trace_of_vww_on_a_cortex_m55_with_an_ethos_u55_and_dma():
    """Spans nest, those of the core add up to the total, and layers lie inside the inference one after the other."""
    camera = Traffic(name="camera", n_bytes=96 * 96 * 3, target="sram")
    timeline = simulate("vww", "corstone-300", traffic=[camera])
    document = json.loads(json.dumps(timeline.to_perfetto(), allow_nan=False))
    assert check_trace(document) > 100
    events = document["traceEvents"]
    tracks = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    spans = {name: [e for e in events if e["ph"] == "X" and tracks[e["pid"], e["tid"]] == name]
             for name in tracks.values()}  # fmt: skip
    assert {"core0", "dma0", "ethos-u55-128", "ethos-u55-128 fetch sram", "camera", "mlperf-tiny-vww"} <= set(spans)
    assert sum(e["args"]["cycles"] for e in spans["core0"]) == timeline.cycles == document["otherData"]["cycles"]
    assert sum(e["dur"] for e in spans["core0"]) == pytest.approx(timeline.latency_s * 1e6, abs=1e-3)
    job, *inner = sorted(spans["mlperf-tiny-vww"], key=lambda e: (e["ts"], -e["dur"]))
    assert job["dur"] == pytest.approx(timeline.latency_s * 1e6, abs=1e-3)
    assert len(inner) >= 28
    assert all(a["ts"] + a["dur"] <= b["ts"] + 1e-9 for a, b in pairwise(inner))
    moved = sum(e["args"]["bytes"] for e in events if e["ph"] == "X" and e["pid"] == 1)
    assert moved == sum(port.n_bytes for port in timeline.ports)


def test_layers_lie_inside_their_job(mixed):
    document = mixed.to_perfetto()
    jobs = [e for e in document["traceEvents"] if e.get("cat") == "job" and e["name"].startswith("vision")]
    inner = [e for e in document["traceEvents"] if e["ph"] == "X" and e["pid"] == 2 and e["name"] == "conv"]
    assert len(inner) == len(jobs)
    for job, layer in zip(jobs, inner, strict=True):
        assert job["ts"] <= layer["ts"]
        assert layer["ts"] + layer["dur"] <= job["ts"] + job["dur"] + 1e-9


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (None, "needs a list traceEvents"),
        ([{"ph": "X", "name": "a", "pid": 1}], r"traceEvents\[0\]: needs tid of type int, got None"),
        ([{"ph": "X", "name": "a", "pid": 1, "tid": 1, "ts": 1.0, "dur": -1.0}], "not negative"),
        ([{"ph": "Q", "name": "a", "pid": 1, "tid": 1}], "unknown phase 'Q'"),
        ([{"ph": "M", "name": "thread_name", "pid": 1, "tid": 1, "args": {}}], "metadata needs args.name"),
        ([{"ph": "M", "name": "frame", "pid": 1, "tid": 1, "args": {}}], "metadata needs args.name"),
        ([{"ph": "X", "name": "a", "pid": 1, "tid": 1, "args": 3}], "args must be an object"),
        (
            [{"ph": "X", "name": n, "pid": 1, "tid": 1, "ts": t, "dur": 10.0} for n, t in (("a", 0.0), ("b", 5.0))],
            "thread 1 of process 1 has no thread_name",
        ),
        (
            [{"ph": "M", "name": "thread_name", "pid": 1, "tid": 1, "args": {"name": "t"}}]
            + [{"ph": "X", "name": n, "pid": 1, "tid": 1, "ts": t, "dur": 10.0} for n, t in (("a", 0.0), ("b", 5.0))],
            r"traceEvents\[2\] leaves the span around it",
        ),
    ],
)
def test_wrong_traces_are_refused(events, message):
    with pytest.raises(InputError, match=message):
        check_trace({"traceEvents": events})


def test_plot_of_an_accelerator_has_a_colour_for_every_kind():
    from matplotlib.figure import Figure

    timeline = simulate("kws", "corstone-300")
    legend = timeline.plot(Figure().add_subplot()).get_legend()
    assert {text.get_text() for text in legend.get_texts()} == {span.kind for span in timeline.spans}


def test_plot_has_a_row_per_resource(timeline):
    from matplotlib.figure import Figure

    ax = timeline.plot(Figure().add_subplot(), until_s=20e-3)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(timeline.resources)
    assert ax.get_xlim()[0] >= -2.0
    assert max(path.get_extents().x1 for c in ax.collections for path in c.get_paths()) == pytest.approx(20.0)


def test_repr_and_unknown_task(timeline):
    assert repr(timeline).startswith(f"Timeline({timeline.latency_s * 1e3:.4g} ms, {timeline.cycles:,} cycles, ")
    with pytest.raises(InputError, match="no task 'camra' was released; did you mean camera"):
        timeline.of_task("camra")


def test_command_writes_what_it_is_asked_for(tmp_path):
    trace, table, picture = tmp_path / "t.json", tmp_path / "t.csv", tmp_path / "t.svg"
    args = ["simulate", "ad", "-d", "nucleo-l4r5zi", "--dma", "288:-:sram:1ms", "--banks", "sram", "2", "--json"]
    args += ["--perfetto", str(trace), "--csv", str(table), "--plot", str(picture)]
    result = CliRunner().invoke(cli, args)
    document = json.loads(result.output)
    assert document["cycles"] == simulate("ad", "nucleo-l4r5zi").cycles
    assert (document["network"], document["device"]) == ("mlperf-tiny-ad", "nucleo-l4r5zi")
    assert check_trace(json.loads(trace.read_text(encoding="utf-8"))) > 0
    assert table.read_text(encoding="utf-8").startswith("resource,name,kind,job,start_s,duration_s")
    assert "<svg" in picture.read_text(encoding="utf-8")
    printed = CliRunner().invoke(cli, [*args[:6], "--progress"]).output
    assert "waiting for ports" in printed
    assert "dma 288:-:sram:1ms" in printed


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--dma", "288"], "is no DMA traffic; accepted: BYTES:FROM:TO[:PERIOD]"),
        (["--dma", "288:-:sram:1kg"], "--dma: '1kg'"),
        (["--dma", "288:-:ram"], "no memory 'ram' on the bus; did you mean sram?"),
        (["--plot", "/nowhere/g.svg"], "/nowhere/g.svg: cannot be written"),
        (["--arbiter", "x"], "'x' is not one of"),
    ],
)
def test_command_errors_are_one_line(args, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["simulate", "ad", "-d", "nucleo-l4r5zi", *args])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in error
    assert error.count("\n") == 1
