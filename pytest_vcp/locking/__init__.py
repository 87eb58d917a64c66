"""requirements.txt from requirements.in: resolved, checked, and put in place whole."""
