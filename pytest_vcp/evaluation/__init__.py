"""One variant's way from source to artifact to prediction."""
