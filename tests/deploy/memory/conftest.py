"""The tests here share the networks of `memory_nets`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
