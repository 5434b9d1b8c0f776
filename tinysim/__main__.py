"""``python -m tinysim``."""

from tinysim.cli.main import main

main()
