"""A file without a setting."""
