"""The packaged model on disk: read, digested, judged for what it would load, published."""
