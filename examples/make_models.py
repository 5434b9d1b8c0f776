"""Make the small TFLite models of this folder: MLPerf Tiny architectures with pseudo-random weights.

The weights mean nothing; cost does not depend on their values. Run `python examples/make_models.py [folder]`.
"""

import sys
from pathlib import Path

from tinysim.network.load import load_network
from tinysim.network.tflite_writer import write_tflite

MODELS = {
    "ad_autoencoder_int8": "mlperf-tiny-ad",
    "ic_resnet8_int8": "mlperf-tiny-ic",
    "kws_dscnn_float32": "mlperf-tiny-kws@float32",
    "kws_dscnn_int8": "mlperf-tiny-kws",
    "sww_int8": "mlperf-tiny-sww",
    "vww_mobilenetv1_int8": "mlperf-tiny-vww",
}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file, name in MODELS.items():
        path = write_tflite(load_network(name), folder / f"{file}.tflite")
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "models")
