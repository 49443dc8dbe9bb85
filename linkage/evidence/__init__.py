"""All reasons to tie accounts, in one shape, and what a shared value is worth."""
