import os

# As django-environ would from a file.
os.environ.setdefault("QASE_ROOT_SUITE", "Shop")
os.environ["QASE_TESTOPS_RUN_TITLE"] = "From the settings"

SECRET_KEY = "of the tests"
INSTALLED_APPS = ["orders"]
ROOT_URLCONF = "shop.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
ALLOWED_HOSTS = ["testserver"]
# Django sets that of the process.
TIME_ZONE = "Pacific/Auckland"
USE_TZ = True
