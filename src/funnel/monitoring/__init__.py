"""Whether what is served is still right: golden answers, rates, distributions, labels, replay; `Alarm`."""
