"""The runtime: code that lives in rows, run under law, durable and replayable."""
