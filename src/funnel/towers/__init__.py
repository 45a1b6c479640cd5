"""Who is close: two towers that put requests and items into one space, their training and their export.

`config` and `encoder` work without torch; `train` and `export` need the extra `train`.
"""
