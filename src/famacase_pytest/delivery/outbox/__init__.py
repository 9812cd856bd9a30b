"""The store: what is kept here survives the process, until the back end has it."""
