"""The process that takes results from the outbox and posts them."""
