"""The outbox: what is stored survives, and is delivered once."""
