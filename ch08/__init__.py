"""Chapter 8: attention."""
