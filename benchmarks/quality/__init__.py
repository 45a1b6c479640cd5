"""Quality on public data, beside the published tables: `python -m benchmarks.quality DATASET --data PATH`."""
