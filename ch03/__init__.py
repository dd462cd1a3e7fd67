"""Chapter 3: word2vec, the simple version."""
