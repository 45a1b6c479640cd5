"""Benchmarks of what live traffic tells: experiments, policies, off-policy evaluation, alarms."""
