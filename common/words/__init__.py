"""Words as ids and as vectors: texts, similarity, files of vectors, how good vectors are."""
