"""Where a setting comes from, and what it means."""
