"""What Vela knows of an Ethos-U configuration and of the memories around it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import Field, model_validator

from tinysim.figures import Spec

__all__ = ["EthosHardware", "MemoryPort", "SystemConfig"]

Shape = tuple[int, int, int]


class BankGranules(Spec):
    """u55/u65: banks of SHRAM are given out in these granules, by use and width."""

    ifm8: int = Field(gt=0)
    ifm16: int = Field(gt=0)
    ifm8_ew: int = Field(gt=0)
    ifm16_ew: int = Field(gt=0)
    ifm32: int = Field(gt=0)
    acc16: int = Field(gt=0)
    acc32: int = Field(gt=0)
    acc40: int = Field(gt=0)


class ReadBuffers(Spec):
    """u85: words of 16 bytes that each read channel can have under way."""

    mem2mem: int = Field(gt=0)
    ifm_stream: int = Field(gt=0)
    weight: int = Field(gt=0)
    fast_weight: int = Field(gt=0)
    ifm: int = Field(gt=0)
    scale: int = Field(gt=0)


class EthosHardware(Spec):
    """The compiler's view of one Ethos-U: micro-blocks, buffers and output rates. Shapes are height, width, depth."""

    family: Literal["u55", "u65", "u85"]
    """Generation: u55 and u65 share SHRAM between inputs and accumulators, u85 has separate RAMs."""
    source: str = Field(min_length=1)
    """Key into the sources files; every number of this section comes from it."""
    where: str
    """Where in the source."""
    macs_per_cycle: int = Field(gt=0)
    """8-bit multiply-accumulates per cycle of one core."""
    cores: int = Field(gt=0)
    """u55, u65: cores that share the work; u85: weight decoders."""
    ofm_ublocks: tuple[Shape, ...] = Field(min_length=1)
    """Output micro-blocks the array can take."""
    ublock_units: tuple[tuple[str, str, str], ...] = ()
    """u85: units that may use each micro-block at 8, 16 and 32 bits, of C (convolution), D (depthwise), P (pooling),
    R (sum), E (element-wise)."""
    output_cycles: tuple[float, ...]
    """Cycles per output element. u55/u65: binary 32 bit, unary 32 bit, mul to 32 bit, mul or 40-bit accumulator, simple
    add, add, max pool, other; u85: to 8, 16, 32, 64 bit, binary 32 to 8/16, binary 32 to 32 bit."""
    activation_cycles: tuple[float, ...]
    """Cycles per output element of the activation. u55/u65: table, clamp, none; u85: none, transposed."""
    shram_banks: int = Field(default=0, ge=0)
    """u55/u65: banks of 1 KiB."""
    bank_granules: BankGranules | None = None
    """u55/u65: granules of the banks."""
    ifm_ram_bytes: int = Field(default=0, ge=0)
    """u85: input buffer."""
    acc_ram_bytes: int = Field(default=0, ge=0)
    """u85: accumulators."""
    chaining_ram_bytes: int = Field(default=0, ge=0)
    """u85: buffer between operators of one pass."""
    output_ram_bytes: int = Field(default=0, ge=0)
    """u85: output buffer."""
    read_buffers: ReadBuffers | None = None
    """u85: outstanding reads by channel."""
    ifm_alloc_units: tuple[tuple[Shape, Shape, Shape], ...] = ()
    """u85: allocation unit of the input buffer by micro-block, for depths to 16, 32 and more bytes."""

    @property
    def writing_cores(self) -> int:
        """Cores that write neighbouring channels in one burst."""
        return 1 if self.family == "u85" else self.cores

    @model_validator(mode="after")
    def _buffers(self) -> EthosHardware:
        if self.family == "u85":
            missing = [
                n
                for n in ("ifm_ram_bytes", "acc_ram_bytes", "output_ram_bytes", "read_buffers")
                if not getattr(self, n)
            ]
            if missing or len(self.ifm_alloc_units) != len(self.ofm_ublocks) != len(self.ublock_units):
                raise ValueError(f"a u85 needs {', '.join(missing) or 'one ifm_alloc_units entry per micro-block'}")
        elif (
            not self.shram_banks
            or self.bank_granules is None
            or len(self.ofm_ublocks) != 1
            or len(self.output_cycles) != 8
        ):
            raise ValueError("a u55 or u65 needs shram_banks, bank_granules, one micro-block and eight output_cycles")
        return self


class MemoryPort(NamedTuple):
    """A memory as the NPU sees it."""

    name: str
    """sram, dram, on_chip_flash or off_chip_flash"""
    bytes_per_cycle: float
    """all ports together, in bytes per NPU cycle"""
    burst_bytes: int
    """longest burst"""
    read_latency: int
    """cycles"""
    write_latency: int
    """cycles"""
    ports: int = 1
    """ports in use"""
    max_reads: int = 1
    """outstanding reads of a port"""
    max_writes: int = 1
    """outstanding writes of a port"""


class SystemConfig(NamedTuple):
    """Where feature maps and constants live, and the fast memory that stages what lives in a slow one."""

    feature_maps: MemoryPort
    constants: MemoryPort
    staging: MemoryPort
    staging_bytes: float = float("inf")
    """room in the staging memory"""
