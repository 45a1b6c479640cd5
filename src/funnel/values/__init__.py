"""Checks of values, one for each kind: the same for files, calls, the command line and configs."""
