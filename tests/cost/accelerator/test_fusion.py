"""External traffic: bounds, monotony, and the best grouping against all groupings."""

from itertools import pairwise, product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysim.cost.accelerator.fusion import external_traffic

sizes = st.integers(1, 2000).map(float)


@st.composite
def chains(draw, most=5):
    n = draw(st.integers(1, most))
    maps = [draw(sizes) for _ in range(n + 1)]
    return {
        "weights": [draw(sizes) for _ in range(n)],
        "inputs": maps[:-1],
        "outputs": maps[1:],
        "second_inputs": [draw(st.sampled_from([0.0, 100.0])) for _ in range(n)],
        "lines": [draw(st.integers(1, 200).map(float)) for _ in range(n)],
    }


@settings(max_examples=80, deadline=None)
@given(chains(), st.lists(st.integers(64, 20_000), min_size=2, max_size=6))
def test_a_bigger_buffer_never_moves_more_and_nothing_beats_the_compulsory_bytes(chain, buffers):
    buffer = np.sort(np.array(buffers, dtype=float))
    fused = external_traffic(**chain, buffer_bytes=buffer)
    plain = external_traffic(**chain, buffer_bytes=buffer, fused=False)
    compulsory = sum(chain["weights"]) + chain["inputs"][0] + chain["outputs"][-1] + sum(chain["second_inputs"])
    assert (np.diff(fused.total_bytes) <= 1e-9).all()
    assert (np.diff(plain.total_bytes) <= 1e-9).all()
    assert (fused.total_bytes <= plain.total_bytes + 1e-9).all()
    assert (fused.total_bytes >= compulsory - 1e-9).all()
    assert plain.begins.all()


@settings(max_examples=60, deadline=None)
@given(chains(), st.integers(64, 8000))
def test_no_grouping_moves_less(chain, buffer):
    n, best = len(chain["weights"]), np.inf
    alone = {
        k: external_traffic(**{name: v[k : k + 1] for name, v in chain.items()}, buffer_bytes=buffer).total_bytes[0]
        for k in range(n)
    }
    for cuts in product([False, True], repeat=n - 1):
        edges = [0, *(k + 1 for k, cut in enumerate(cuts) if cut), n]
        total = 0.0
        for a, b in pairwise(edges):
            if b - a == 1:
                total += alone[a]
                continue
            held = sum(chain["weights"][a:b]) + sum(chain["lines"][a:b])
            moved = sum(chain["weights"][a:b]) + sum(chain["second_inputs"][a:b])
            total += moved + chain["inputs"][a] + chain["outputs"][b - 1] if held <= buffer else np.inf
        best = min(best, total)
    assert np.isclose(external_traffic(**chain, buffer_bytes=buffer).total_bytes[0], best)
