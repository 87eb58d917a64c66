"""MLflow's own commands, run as its users type them, watched, and ended for sure."""
