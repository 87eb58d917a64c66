"""The packaged model on disk: reading, digests, contents of its pickles, publishing."""
