"""Simulation: what happened, or might have, once more: by the same code, in a tenant of its own.

A period's records from outside are told again, at their times, to a scratch tenant with the house's
own law; what policies, consequences, functions and schedules make of them is made anew. Nothing
leaves it. With a change in the law, the same period says what would have happened.
"""
