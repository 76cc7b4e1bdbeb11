"""Foreign bytes become drafts, and drafts become records, none of them lost."""
