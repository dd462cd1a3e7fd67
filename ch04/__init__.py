"""Chapter 4: word2vec, fast."""
