"""One checker a kind of value: whether it comes from a file, a call, the command line or a config."""
