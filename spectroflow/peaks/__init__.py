"""peaks."""
