"""Chapter 6: gated recurrent networks."""
