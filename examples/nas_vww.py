"""Find person-detection networks for a board: front of latency and an accuracy proxy, within its memories.

tinysim predicts no accuracy. The proxy here is the logarithm of the multiply-accumulates: within one family of networks
bigger is usually better, no more. Put a trained predictor or zero-cost score in its place.
"""

import numpy as np

import tinysim as ts
from tinysim.explore.pareto import hypervolume
from tinysim.explore.search import Question
from tinysim.explore.spaces import mobilenet_v2

BOARD, RUNTIME = "nucleo-l4r5zi", "tflm-cmsis-nn"

space = mobilenet_v2(resolutions=(48, 64, 80, 96), widths=(0.2, 0.25, 0.35), last=256)
model = ts.CostModel(BOARD, RUNTIME)


def small(vectors: np.ndarray) -> np.ndarray:
    """The proxy, negated: smaller is better."""
    return -np.log10(model.columns(space.encode(vectors), ["macs"])["macs"])


question = Question(
    space,
    model,
    ["latency_s", "small"],
    limits={"sram_peak_bytes": 128 * 1024, "flash_bytes": 1024 * 1024, "latency_s": 0.5},
    extra={"small": small},
)
vectors, front = question.minimise(population=60, generations=10)
best = vectors[np.argmin(front[:, 1])]
network = space.network(best, "person-detector")
estimate = ts.estimate(network, BOARD, RUNTIME)
estimate.deployment.check_fit()
print(f"{len(front)} networks on the front, hypervolume {hypervolume(front, [0.5, -5.0]):.3f}")
print(f"chosen: {space.decode(best)}")
print(estimate)

if __name__ == "__main__":
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        print("no plot without matplotlib")
    else:
        plt.plot(front[:, 0] * 1e3, 10 ** -front[:, 1] / 1e6, "o")
        plt.xlabel("latency [ms]")
        plt.ylabel("MACs [million], the proxy")
        plt.title(f"{space.name} on {BOARD}")
        plt.savefig("nas_vww.png", dpi=150)
