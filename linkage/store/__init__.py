"""The only door to SQLite: schema, named queries, and the store object."""
