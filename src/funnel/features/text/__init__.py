"""Texts as vectors of a language model, computed once and kept."""
