"""What belongs to the chapter “Embeddings and norms” and to no other."""
