"""Items as they are served: tables, filters and the columns they go by, and how two schemas differ."""
