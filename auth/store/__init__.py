"""The store: schema, queries, change feed and migrations. The only place with SQL."""
