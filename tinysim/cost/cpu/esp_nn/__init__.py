"""ESP-NN kernels, int8: assembly for the ESP32-S3, C with SIMD for the ESP32-P4, plain C for the rest.

Importing the package registers them. Instructions per trip were counted from the source:
`tables/esp_nn_structure.csv`.
Source: github.com/espressif/esp-nn, src/.
"""

from tinysim.cost.cpu.esp_nn import ansi, conv, depthwise, other

__all__ = ["LIBRARY", "LIBRARY_ANSI", "ansi", "conv", "depthwise", "other"]

#: name under which the selections are registered
LIBRARY = "esp-nn"
#: the same for its ANSI C versions, which exist to compare with
LIBRARY_ANSI = ansi.LIBRARY_ANSI
