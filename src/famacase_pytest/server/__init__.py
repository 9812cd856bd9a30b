"""The local back end behind ``famacase serve``: for trying, for tests and for offline work."""
