"""Schedules: records that say when a function runs, by a cron expression in a time zone."""
