"""Experiments on real people: who is in which arm, and what came of it."""
