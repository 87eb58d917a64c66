"""The rules: their registry, their outcomes, and the location of suite and pages."""
