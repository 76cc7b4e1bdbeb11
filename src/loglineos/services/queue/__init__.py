"""The queue: executions that wait their turn, and the workers that take them by lease.

A job is no thing of its own: it is an execution whose latest event is scheduled, queued, running or
waiting. It costs two signed records, the request and the end; the claim between them is a lease,
which is operational and no record.
"""
