"""Delivering what the outbox holds: when to send, what is done with a batch, how files are uploaded."""
