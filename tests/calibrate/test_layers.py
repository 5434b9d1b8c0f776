"""Single layers as rows: names, features, and what is left out with one."""

import pytest

from tinysim.calibrate.features import row_features
from tinysim.calibrate.layers import layer_table
from tinysim.calibrate.rows import load_rows
from tinysim.calibrate.validate import network_family
from tinysim.device.effects import FEATURES, WORK
from tinysim.errors import InputError


def test_every_shipped_layer_has_a_shape_and_features():
    rows = load_rows("layers")
    features = row_features(rows)
    assert (features[:, : len(WORK)].sum(axis=1) > 0).all()
    assert (features[:, FEATURES.index("inference_overhead")] == 0).all()
    kernels = rows["network"].str.startswith("kernel:").to_numpy()
    assert kernels.any()
    assert ((features[:, FEATURES.index("op_overhead")] == 0) == kernels).all()


def test_a_shape_is_left_out_on_all_boards_and_in_all_versions():
    assert network_family("layer:relu in=1x1x8 out=1x1x8") == network_family("kernel:relu in=1x1x8 out=1x1x8")
    rows = load_rows("layers")
    again = rows[rows["network"].str.startswith("kernel:add")]
    assert len(again) > 1
    assert again["cell"].nunique() == 1


def test_macs_of_a_named_layer():
    layer = layer_table("layer:depthwise_conv2d in=9x9x4 out=9x9x8 kernel=3x3 channel_multiplier=2 pad=1x1x1x1")
    assert int(layer.macs[0]) == 9 * 9 * 8 * 9


@pytest.mark.parametrize("name", ["layer:conv2d in=8x8", "layer:conv2d shape=1x1", "layer:conv2d in=axbxc"])
def test_a_wrong_name_is_one_clear_error(name):
    with pytest.raises(InputError, match="layer table"):
        layer_table(name)
