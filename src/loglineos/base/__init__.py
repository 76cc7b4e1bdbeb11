"""What the standard library lacks. Imports nothing of ours."""
