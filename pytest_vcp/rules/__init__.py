"""The rules: their registry, what each can say, and where suite and pages lie."""
