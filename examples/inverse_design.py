"""What must a chip have at least? Two questions, answered by bisection on the model, and what else would help."""

from tinysim.explore.inverse import least_design

# An accelerator to be: a 16 x 16 systolic array at 500 MHz, a buffer of 64 KiB, LPDDR4 of 2 GB/s.
DESIGN = "systolic-16x16-ws"

# 1. The least buffer for 30 frames/s of person detection where the DRAM gives 25 MB/s.
frames = least_design(
    "vww", DESIGN, vary="npu_sram_bytes", low=1024, high=1 << 20, goal=1 / 30, fixed={"npu_dram_bytes_per_s": 25e6}
)
print("person detection at 30 frames/s, DRAM of 25 MB/s")
print(frames)

# 2. The smallest square array that keeps keyword spotting under 20 uJ.
energy = least_design(
    "kws", DESIGN, vary=("npu_array_in_c", "npu_array_out_c"), low=1, high=64, goal=20e-6, figure="energy_j",
    also={"npu_sram_bytes": 64 * 1024, "npu_clock_hz": 500e6},
)  # fmt: skip
print("keyword spotting under 20 uJ")
print(energy)
