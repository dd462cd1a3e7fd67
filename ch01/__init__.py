"""Chapter 1: neural networks in review."""
