import os

DEBUG = False
# As django-environ would from a file.
os.environ.setdefault("QASE_ROOT_SUITE", "Shop")
os.environ["QASE_TESTOPS_RUN_TITLE"] = "From the settings"
