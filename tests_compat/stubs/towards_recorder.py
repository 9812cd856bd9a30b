"""Loaded with -p into a session over upstream's own transport: its clients talk to the recorder.

Nothing else of upstream's is touched: the requests are built, serialised and sent by its own code.
"""

import os

import qase.api_client_v1.configuration
import qase.api_client_v2.configuration

for _version, _module in (
    ("v1", qase.api_client_v1.configuration),
    ("v2", qase.api_client_v2.configuration),
):
    _address = f"{os.environ['COMPAT_RECORDER']}/{_version}"
    _module.Configuration.host = property(lambda self, address=_address: address, lambda self, value: None)
