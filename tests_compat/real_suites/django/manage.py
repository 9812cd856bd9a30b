"""pytest-django looks for it, to know where the project is."""
