"""Locking: requirements.txt is resolved from requirements.in, checked, and replaced atomically."""
