"""What reporting costs a suite: plain pytest, qase-pytest by itself, and qase-pytest with this package.

``make bench`` runs it; ``python -m benchmarks --help`` tells what can be chosen.
"""
