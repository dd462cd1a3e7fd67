"""All that a GPU can prove: `python -m tests.gpu`, see README.md."""
