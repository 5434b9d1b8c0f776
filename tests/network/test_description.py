"""YAML: exact both ways, layers by hand, and one clear error for anything else."""

import io
import json
import os
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import networks

from tinysim.errors import NetworkError, TinysimError
from tinysim.network.description import json_schema, network_from_yaml, network_to_yaml, read_yaml, write_yaml
from tinysim.network.description.layer_kinds import LAYERS
from tinysim.network.graph import Network
from tinysim.network.load import load_network
from tinysim.network.table import LayerTable

KWS = """
tinysim: network
version: 1
name: kws
inputs: {x: [1, 49, 10, 1]}
blocks:
  separable:
    parameters: [filters]
    layers:
      - depthwise_conv2d: {kernel: 3, activation: relu}
      - conv2d: {filters: $filters, activation: relu}
layers:
  - conv2d: {filters: 64, kernel: [10, 4], stride: 2, activation: relu}
  - repeat: 4
    layers:
      - {block: separable, with: {filters: 64}}
  - avg_pool2d: {kernel: [25, 5]}
  - flatten
  - fully_connected: {units: 12}
  - softmax
"""
HEAD = "tinysim: network\nversion: 1\nname: x\n"
EXAMPLES = int(os.environ.get("TINYSIM_EXAMPLES", "80"))


@settings(max_examples=EXAMPLES, deadline=None)
@given(networks())
def test_round_trip_loses_nothing(network: Network) -> None:
    back = network_from_yaml(network_to_yaml(network))
    assert back == network
    table = network.table()
    assert back.table() == table
    frame = pd.read_csv(io.StringIO(table.to_frame().to_csv(index=False)))
    assert LayerTable.from_frame(frame) == table
    assert (back.params, back.weight_bytes) == (network.params, network.weight_bytes)


@pytest.mark.parametrize("name", ["kws", "ic@float32", "st-ssd-mobilenet-v1-0.25-192", "lstm-32", "tiny-transformer"])
def test_zoo_networks_round_trip(name: str, tmp_path: Path) -> None:
    network = load_network(name)
    path = write_yaml(network, tmp_path / "net.yaml")
    assert load_network(path) == network


def test_layers_by_hand_give_the_same_network() -> None:
    assert network_from_yaml(KWS).table() == load_network("kws").table()
    assert (
        network_from_yaml(KWS.replace("name: kws", "name: kws\ndtype: float32")).table()
        == load_network("kws@float32").table()
    )


def test_branches_labels_and_outputs() -> None:
    network = network_from_yaml("""
tinysim: network
version: 1
name: branches
inputs: {image: [1, 8, 8, 4]}
layers:
  - {conv2d: {filters: 4, kernel: 3, padding: [1, 1, 1, 1]}, name: a}
  - {conv2d: {filters: 4}, from: image, name: b}
  - {add: {activation: relu}, from: [a, b], name: sum}
  - {concatenation: , from: [sum, previous, a]}
  - mean: {axes: [1, 2]}
  - leaky_relu: {alpha: 0.1}
outputs: [previous, sum]
""")
    assert [network.tensors[t].shape for t in network.outputs] == [(1, 12), (1, 8, 8, 4)]
    assert network.ops[-1].attrs["alpha"] == 0.1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a tinysim network"),
        ("a: [", "line 2: no valid YAML"),
        ("tinysim: network", "version None; accepted: 1"),
        (KWS.replace("filters: 64,", "filter: 64,"), r"layer 0 \(conv2d\): unknown parameter 'filter'; did you"),
        (KWS.replace("{units: 12}", "{}"), "parameter 'units' is missing"),
        (KWS.replace("softmax", "softmix"), "no layer 'softmix'; did you mean softmax"),
        (KWS.replace("repeat: 4", "repeat: 1000000000"), "more than 10000 layers"),
        (KWS.replace("repeat: 4", "repeat: -1"), "repeat: a whole number"),
        (KWS.replace("$filters", "$width"), r"no parameter '\$width'; accepted: filters"),
        (KWS.replace("block: separable", "block: separate"), "no block 'separate'; did you mean separable"),
        (KWS.replace("with: {filters: 64}", "with: {}"), "block 'separable' takes with: filters"),
        (KWS.replace("[25, 5]", "[26, 5]"), "does not fit an input of 25"),
        (KWS.replace("stride: 2", "stride: two"), "parameter 'stride' is 'two'; accepted: a whole number or two"),
        (KWS.replace("49", "-49"), "accepted: a list of whole numbers >= 1"),
        (KWS.replace("  - flatten", "  - flatten: {}\n    from: nowhere"), "no value 'nowhere'"),
        (KWS.replace("name: kws", "nmae: kws"), "unknown key 'nmae'; did you mean name"),
        (KWS.replace("- flatten", "- 3"), "expected the name of a layer"),
        (KWS + "outputs: []", "outputs must be a list"),
        ("[" * 100000, "nested deeper than 200|nesting depth"),
        ('!!python/object/apply:os.system ["true"]', "no valid YAML"),
        (HEAD + "inputs: [0]\noutputs: [0]\ntensors: []\nops: []", "tensor 0 does not exist"),
        (HEAD, "inputs: Field required"),
    ],
)  # fmt: skip
def test_refuses_with_one_line(text: str, message: str) -> None:
    with pytest.raises(NetworkError, match=message) as caught:
        network_from_yaml(text, label="net.yaml")
    assert str(caught.value).startswith("net.yaml: ")
    assert "\n" not in str(caught.value)


PIECES = ["-", "{", "]", "0", "9", "[1]", ": ", "\n", "null", "x"]
BASES = [KWS, network_to_yaml(load_network("edgemark-cnn-1"))]


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(BASES),
    st.lists(
        st.tuples(st.integers(0, 2**20), st.sampled_from(["-", "{", "]", "0", "9", "[1]", ": ", "\n", "null", "x"])),
        max_size=4,
    ),
)
def test_only_clear_errors_come_out(base: str, patches: list[tuple[int, str]]) -> None:
    text = base
    for at, patch in patches:
        at %= len(text)
        text = text[:at] + patch + text[at + 1 :]
    try:
        network_from_yaml(text)
    except TinysimError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="cannot be read"):
        read_yaml(tmp_path / "gone.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NetworkError, match="UTF-8"):
        read_yaml(binary)


def test_schema_knows_every_layer() -> None:
    text = json.dumps(json_schema())
    for kind, layer in LAYERS.items():
        assert f'"{kind}"' in text
        assert layer.doc
