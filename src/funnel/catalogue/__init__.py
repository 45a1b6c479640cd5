"""Items as they are served: tables, filters and their columns, and how two schemas differ."""
