"""Towers are trained and exported: the only room that needs torch, from the extra `train`."""
