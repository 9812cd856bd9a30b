import importlib.metadata

COMMONS = tuple(map(int, importlib.metadata.version("qase-python-commons").split(".")))

# pytest-bdd, with any release of upstream.
from wire_steps import *  # noqa: E402, F403
