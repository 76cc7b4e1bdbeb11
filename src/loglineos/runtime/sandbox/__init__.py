"""The sandbox: where code of the house runs with nothing but what it was given."""
