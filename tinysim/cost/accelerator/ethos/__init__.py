"""Arm Ethos-U as the Vela compiler estimates it: `model: vela`.

A published formulation, written anew for columns of layers: Arm's Vela 5.2 (Apache-2.0, package `ethos-u-vela`, core
`regor`), files `architecture/ethosu55/*_performance.cpp`, `architecture/ethosu85/*_performance.cpp`,
`compiler/scheduler.cpp` and `compiler/network_performance.cpp`. Arm says that the figures are no measure of real
performance; where silicon was measured, prefer `model: measured`.
"""
