"""Facts about the package directory, read as text and syntax; nothing is imported."""
