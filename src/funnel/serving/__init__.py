"""The bundle in use: requests in, responses out, and what changes meanwhile."""
