"""PostgreSQL as a sink: the lake's results for applications, with keys, roles and row security."""
