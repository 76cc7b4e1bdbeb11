"""Everything is checked from its rows up, and what is derived is told again."""
