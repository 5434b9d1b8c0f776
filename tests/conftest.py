"""Settings of all tests."""

from hypothesis import settings

# A busy machine makes the first example of a test slow: how long an example takes says nothing here.
settings.register_profile("tinysim", deadline=None)
settings.load_profile("tinysim")
