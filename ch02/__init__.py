"""Chapter 2: word vectors from counts."""
