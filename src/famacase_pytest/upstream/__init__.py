"""All that knows qase-pytest and qase-python-commons; no other room imports them."""
