"""Results of suites written for qase-pytest, delivered to a Famacase back end.

The package is a pytest plugin: installing it and setting ``FAMACASE_API_URL`` is all that a suite needs.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
