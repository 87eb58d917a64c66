"""The model's environment: found, built, cached, inspected."""
