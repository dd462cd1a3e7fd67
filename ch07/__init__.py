"""Chapter 7: generating text, and from sequence to sequence."""
