"""The wheel carries device_specs, and an installed tinysim finds it without the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from tinysim.device.library import list_devices, spec_folder

ROOT = Path(__file__).parents[1]


def test_a_checkout_reads_its_own_folder() -> None:
    assert spec_folder() == ROOT / "device_specs"


def test_an_installed_wheel_reads_its_own_folder(tmp_path: Path) -> None:
    build = (
        "from hatchling.builders.wheel import WheelBuilder; "
        f"print(next(WheelBuilder({str(ROOT)!r}).build(directory={str(tmp_path)!r}, versions=['standard'])))"
    )
    wheel = subprocess.run([sys.executable, "-c", build], capture_output=True, text=True, check=True).stdout.strip()
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    assert (site / "tinysim" / "py.typed").is_file()
    code = (
        "import tinysim as ts; from tinysim.device.library import spec_folder; "
        "e = ts.estimate('kws', 'nucleo-l4r5zi'); print(spec_folder(), len(ts.list_devices()), e.cycles)"
    )
    environment = os.environ | {"PYTHONPATH": str(site)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    folder, devices, cycles = ran.stdout.split()
    assert Path(folder) == site / "tinysim" / "_device_specs"
    assert int(devices) == len(list_devices())
    assert int(cycles) > 0
