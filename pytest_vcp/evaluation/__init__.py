"""The evaluation of one variant, from source to artifact to prediction."""
