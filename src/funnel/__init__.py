"""Multi-stage ranking: retrieve, filter, rank, re-rank, and measure each step."""
