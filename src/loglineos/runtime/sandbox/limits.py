"""How much a program of the house may use, by tier; every number that bounds a run is here.

Tier P (`PURE`) has no effects: policies, kernels without effects, batches. Tier D (`DURABLE`) may
ask for effects, sleep and wait for people. A session holds these limits for each turn and feed;
the budget of a whole execution, which may live through many sessions, is the caller's to keep: each
turn tells what it used (`cpu_us`, `printed`).

Always holds: a limit that trips is an outcome to record, not something that a replay can prove.

Source: measured on 315 attack programs, docs/explanation/sandbox.md.
"""

from __future__ import annotations

from typing import Final

import msgspec

SOURCE_BYTES_MAX: Final = 256 * 1024
"""Longest source of one program or prelude module, in UTF-8 bytes."""

BATCH_SPANS_MAX: Final = 500
"""Most spans that one call of `Runners.evaluate` takes."""

SNAPSHOT_BYTES_MAX: Final = 4 * 1024 * 1024
"""Longest snapshot that `Session.dump` hands out; a larger run resumes from its journal alone."""

GRACE_S: Final = 0.5
"""How long past its own limit a worker may answer before its process is killed."""


class ValueLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one value that crosses the boundary may be, counted as a tree."""

    bytes_max: int = 1024 * 1024
    nodes_max: int = 100_000
    depth_max: int = 64


VALUE_LIMITS: Final = ValueLimits()
BATCH_LIMITS: Final = ValueLimits(bytes_max=16 * 1024 * 1024, nodes_max=2_000_000)
"""A batch of spans, and all that a policy answers to it, crosses as one value."""


class RunLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one session may use. Seconds are of the worker's own running, waiting is free."""

    turn_s: float
    """Longest stretch between two suspensions."""
    feed_s: float
    """All running of one session; a restored session begins anew, so add up `cpu_us` yourself."""
    memory_bytes: int
    depth_max: int
    """Deepest nesting of calls."""
    suspensions_max: int
    """Most calls, clock readings and sleeps of one session."""
    printed_bytes_max: int = 64 * 1024
    """Print keeps this much; more fails the run with `limit = "size"`."""
    fuel: int = 500_000_000
    """JavaScript only: instructions of the WebAssembly machine, for one run or one batch."""
    value: ValueLimits = VALUE_LIMITS


PURE: Final = RunLimits(
    turn_s=0.5, feed_s=0.5, memory_bytes=64 * 1024 * 1024, depth_max=200, suspensions_max=0
)
DURABLE: Final = RunLimits(
    turn_s=1.0, feed_s=5.0, memory_bytes=128 * 1024 * 1024, depth_max=200, suspensions_max=1000
)


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What one execution may use over all its sessions; the caller adds up and compares."""

    cpu_s: float = 60.0
    calls_max: int = 10_000
    journal_bytes_max: int = 16 * 1024 * 1024
    age_s: float = 30 * 86_400.0


BUDGET: Final = Budget()
