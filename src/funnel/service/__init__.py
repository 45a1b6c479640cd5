"""The funnel over HTTP: `funnel serve`. Nothing here is loaded by `import funnel` or by `Live`."""
