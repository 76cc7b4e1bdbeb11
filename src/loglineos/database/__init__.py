"""Postgres plumbing: embedded server, pools, named queries, migrations. Knows no table of ours."""
