"""The calls of the REST API, over HTTP."""
