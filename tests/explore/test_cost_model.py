"""The cost model says what `ts.estimate` says, to the last bit, one network at a time and in batches."""

from typing import Any

import numpy as np
import pytest

import tinysim as ts
from tinysim.cost.energy import QUANTUM_J
from tinysim.deploy.memory.buffers import Buffers
from tinysim.deploy.memory.greedy import greedy_by_size, tflm_greedy
from tinysim.errors import InputError, NetworkError, TinysimError
from tinysim.explore import heads
from tinysim.explore.cost_model import COLUMNS, CostModel
from tinysim.explore.encoded import Blocks, Encoded, encode_table, factorized, row_numbers
from tinysim.explore.heads import BlockHeads
from tinysim.explore.layers import add, conv, depthwise, head
from tinysim.explore.space import Gene, SearchSpace, Slot
from tinysim.explore.spaces import SPACES, ds_cnn, mixed_precision
from tinysim.network.table import LayerTable

DEVICE, RUNTIME = "nucleo-l4r5zi", "tflm-cmsis-nn"


def assert_same(row: Any, expected: tuple[Any, ...]) -> None:
    """Equal to the last bit, unknown figures too."""
    np.testing.assert_array_equal(np.array(row, dtype=float), np.array(expected, dtype=float))


def estimated(network: ts.Network, device: str = DEVICE, runtime: str = RUNTIME) -> tuple[Any, ...]:
    e = ts.estimate(network, device, runtime)
    return e.latency_s, e.energy_j, e.memory.sram_peak_bytes, e.memory.flash_bytes, e.macs


@pytest.fixture(scope="module")
def model() -> CostModel:
    return CostModel(DEVICE, RUNTIME)


@pytest.mark.parametrize("name", sorted(SPACES))
def test_batch_equals_estimates(name: str, model: CostModel) -> None:
    space = SPACES[name]()
    vectors = space.sample(40 if name == "ds-cnn" else 12, seed=3)
    frame = model.batch(space.encode(vectors))
    assert tuple(frame.columns) == COLUMNS
    for row, vector in zip(frame.itertuples(index=False), vectors, strict=True):
        assert_same(row, estimated(space.network(vector)))


def test_a_thousand_networks_give_the_same_alone(model: CostModel) -> None:
    for name, count in (("ds-cnn", 700), ("mobilenet-v2", 120), ("once-for-all", 60), ("pruned", 120)):
        space = SPACES[name]()
        encoded = space.encode(space.sample(count, seed=1))
        rows = model.batch(encoded).to_numpy(dtype=float)
        for i in range(count):
            assert_same(tuple(rows[i]), tuple(model(encoded[i : i + 1]).to_dict().values()))


def test_threads_and_chunks_change_nothing(model: CostModel, monkeypatch: pytest.MonkeyPatch) -> None:
    space = SPACES["mobilenet-v2"]()
    encoded = space.encode(space.sample(3000, seed=6))
    whole = model.columns(encoded, threads=1)
    monkeypatch.setattr("tinysim.explore.cost_model._CHUNK", 700)
    for threads in (1, 3):
        for name, values in model.columns(encoded, threads=threads).items():
            np.testing.assert_array_equal(values, whole[name])


def test_precisions_mix_in_a_batch(model: CostModel) -> None:
    rows = [conv(32, 32, 3, 8, 3, 2), depthwise(16, 16, 8), *head(16, 16, 8, 10)]
    space = SearchSpace(
        "widths",
        (Gene("bits", (8, 16)), Gene("classes", (10, 20))),
        (Slot(("bits", "classes"), lambda bits, _: [row | {"activation_bits": bits} for row in rows]),),
    )
    frame = model.batch(space.encode(space.vectors(0, 4)))
    for row, vector in zip(frame.itertuples(index=False), space.vectors(0, 4), strict=True):
        assert_same(row, estimated(space.network(vector)))


def test_networks_in_any_order_cost_what_estimates_say() -> None:
    for device, runtime in ((DEVICE, RUNTIME), (DEVICE, "x-cube-ai-7.1"), ("nucleo-l4r5zi", "tflm-reference")):
        model = CostModel(device, runtime)
        for name in ("kws", "vww", "ad", "ic", "vww"):
            network = ts.load_network(name)
            assert_same(tuple(model(network).to_dict().values()), estimated(network, device, runtime))


def test_a_list_of_networks_gives_what_each_gives_alone() -> None:
    names = ["kws", "vww", "edgemark-lstm", "ad"]
    networks: list[Any] = [ts.load_network(name) for name in names]
    space = SPACES["ds-cnn"]()
    encoded = space.encode(space.sample(3, seed=8))
    frame = CostModel(DEVICE, RUNTIME).batch([*networks, encoded, "ic"])
    alone = CostModel(DEVICE, RUNTIME)
    each = [*networks, *(encoded[i : i + 1] for i in range(3)), "ic"]
    for row, item in zip(frame.itertuples(index=False), each, strict=True):
        assert_same(row, tuple(alone(item).to_dict().values()))


def test_the_whole_zoo_costs_what_estimates_say() -> None:
    """Recurrent layers, several inputs and outputs, shared constants, published files: each way through the book."""
    models = {runtime: CostModel(DEVICE, runtime) for runtime in (RUNTIME, "microtvm-cmsis-nn")}
    for name in ts.list_networks()[::6]:
        network = ts.load_network(name)
        for runtime, model in models.items():
            try:
                expected = estimated(network, DEVICE, runtime)
            except TinysimError:
                continue
            assert_same(tuple(model(network).to_dict().values()), expected)


def test_rows_are_numbered_alike_by_hash_and_by_radix() -> None:
    rng = np.random.default_rng(2)
    columns = [rng.integers(0, 4, 5000) for _ in range(6)]
    np.testing.assert_array_equal(row_numbers(columns), factorized(columns))


def test_tables_give_what_encodings_give(model: CostModel) -> None:
    space = SPACES["mobilenet-v2"]()
    encoded = space.encode(space.sample(50, seed=2))
    frame = model.batch(encoded)
    first, second = encoded[:20].table(), encoded[20:].table()
    # skips are found again where they are not given: no block is without expansion
    for other in (model.batch(encoded.table(), skips=encoded.skips()), model.batch([first, second])):
        for row, expected in zip(other.itertuples(index=False), frame.itertuples(index=False), strict=True):
            assert_same(row, expected)


@pytest.mark.parametrize("name", ["kws", "ad", "mobilenet-v1-0.25-96", "mobilenet-v2-0.35-96"])
def test_zoo_networks_equal_their_tables_but_for_names(name: str, model: CostModel) -> None:
    network = ts.load_network(name)
    cost, chain = model(network), model(network.table())
    assert tuple(cost.to_dict().values()) == estimated(network)
    assert model(network) is cost
    assert (chain.latency_s, chain.sram_peak_bytes, chain.macs) == (cost.latency_s, cost.sram_peak_bytes, cost.macs)
    assert chain.energy_j == cost.energy_j
    # the file holds the tensors' names, which a table does not know
    assert chain.flash_bytes == pytest.approx(cost.flash_bytes, rel=0.01)


@pytest.mark.parametrize("runtime", ["tflm-reference", "x-cube-ai-7.1", "microtvm-cmsis-nn"])
def test_every_way_of_planning_memory(runtime: str) -> None:
    model, space = CostModel(DEVICE, runtime), ds_cnn()
    vectors = space.sample(3, seed=4)
    for row, vector in zip(model.batch(space.encode(vectors)).itertuples(index=False), vectors, strict=True):
        assert_same(row, estimated(space.network(vector), runtime=runtime))


def test_mixed_precision(model: CostModel) -> None:
    rows = [conv(32, 32, 3, 8, 3, 2), depthwise(16, 16, 8), conv(16, 16, 8, 8), add(16, 16, 8, 3), *head(16, 16, 8, 10)]
    space = mixed_precision(rows)
    vectors = space.sample(20, seed=5)
    frame = model.batch(space.encode(vectors))
    for row, vector in zip(frame.itertuples(index=False), vectors, strict=True):
        assert_same(row, estimated(space.network(vector)))
    smallest, largest = (model(space.encode(np.full(len(space.genes), i))) for i in (2, 0))
    assert smallest.flash_bytes is not None
    assert largest.flash_bytes is not None
    assert smallest.flash_bytes < largest.flash_bytes


@pytest.mark.parametrize("later_first", [True, False])
def test_heads_are_those_of_the_planners(later_first: bool) -> None:
    rng, plan = np.random.default_rng(0), tflm_greedy if later_first else greedy_by_size
    for _ in range(300):
        n = int(rng.integers(1, 40))
        first = np.sort(rng.integers(0, n, n))
        last = first + rng.integers(0, 4, n)
        size = 16 * rng.integers(0, 60, n)
        head = heads.buffer_head(size.tolist(), first.tolist(), last.tolist(), later_first=later_first)
        assert head == (plan(Buffers.of(size, first, last)) + size).max()


def random_plans(rng: np.random.Generator, largest: int, reach: int, later_first: bool) -> tuple[BlockHeads, Encoded]:
    """Networks of 7 random blocks of 0 to 4 layers, whose sums read up to `reach` rows before their block."""
    made: list[tuple[int, int, int]] = []
    start, length, slots = [], [], []
    between = 16 * rng.integers(1, largest + 1, 8)
    between[3:6] = between[2]
    for slot in range(7):
        slots.append(len(start) + np.arange(9))
        for _ in range(9):
            n = int(rng.integers(slot < 3 or between[slot] != between[slot + 1], 5))
            sizes = [between[slot], *16 * rng.integers(1, largest + 1, n - 1), between[slot + 1]] if n else []
            start.append(len(made))
            length.append(n)
            skips = [int(rng.integers(0, p + 2 + reach * (slot > 2))) * (rng.random() < 0.4) for p in range(n)]
            made += list(zip(sizes[:-1], sizes[1:], skips, strict=True))
    in_bytes, out_bytes, skip = np.array(made).T
    one = LayerTable.from_columns(conv(8, 8, 4, 4))
    rows = LayerTable.concat([one] * len(made)).replace(network=0)
    blocks = Blocks(rows, skip, np.arange(len(made)), np.array(start), np.array(length))
    scratch = 16 * rng.integers(-largest, largest, (len(made), 2)).clip(0)
    ids = np.stack([rng.choice(slot, 300) for slot in slots], axis=1)
    return BlockHeads(blocks, in_bytes, out_bytes, scratch, later_first), Encoded(blocks, ids)


@pytest.mark.parametrize("later_first", [True, False])
@pytest.mark.parametrize("reach", [0, 2])
def test_compiled_heads_are_the_interpreted_ones(
    monkeypatch: pytest.MonkeyPatch, later_first: bool, reach: int
) -> None:
    pytest.importorskip("numba", reason="needs the extra 'explore'")
    rng = np.random.default_rng(reach)
    for largest in (2, 4, 12, 300):
        plans, encoded = random_plans(rng, largest, reach, later_first)
        with monkeypatch.context() as patch:
            patch.setattr(heads, "_MANY", 0)
            compiled = plans.of(encoded)
            patch.setattr(heads, "compiled", lambda _: None)
            assert plans.of(encoded).tolist() == compiled.tolist()


def test_energies_sum_exactly(model: CostModel) -> None:
    costs = ts.estimate("vww", DEVICE, RUNTIME).costs
    joules = costs.energy_j
    assert joules is not None
    quanta = joules / QUANTUM_J
    assert (quanta == np.rint(quanta)).all()
    assert joules.sum() == joules[::-1].cumsum()[-1] == sum(joules.tolist())


def test_an_own_space_and_its_errors() -> None:
    width = Gene("width", (8, 16))
    slots = (
        Slot(("width",), lambda c: [conv(32, 32, 3, c, 3, 2)]),
        Slot(("width",), lambda c: head(16, 16, c, 10)),
    )
    space = SearchSpace("mine", (width,), slots)
    assert space.size == 2
    assert space.decode([1]) == {"width": 16}
    assert space.vectors(0, 2).tolist() == [[0], [1]]
    assert space.network([1]).macs == 16 * 16 * 27 * 16 + 160
    with pytest.raises(InputError, match=r"vector 0: width = 2 is outside 0\.\.1"):
        space.encode([2])
    with pytest.raises(InputError, match="expected whole numbers of shape"):
        space.encode([0.5])
    with pytest.raises(InputError, match="depends on 'depth', which is no gene"):
        SearchSpace("mine", (width,), (Slot(("depth",), lambda d: []),))


def test_tables_that_are_no_chains(model: CostModel) -> None:
    table = ts.load_network("kws").table()
    with pytest.raises(NetworkError, match="sorted by `network`"):
        encode_table(table.replace(network=np.arange(len(table))[::-1]))
    with pytest.raises(NetworkError, match="none of the 16 rows before it makes one"):
        model(
            table.replace(
                n_inputs=np.r_[1, 2, np.ones(len(table) - 2)], in2_elements=np.r_[0, 7, np.zeros(len(table) - 2)]
            )
        )
    with pytest.raises(InputError, match="one network at a time"):
        model(ts.LayerTable.concat([table, table]))
