"""Facts about requirements.in and requirements.txt, line by line."""
