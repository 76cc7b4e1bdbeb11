"""Policies: code of the house that looks at every record and answers with actions."""
