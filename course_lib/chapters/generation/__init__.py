"""What belongs to the chapter “Generation” and to no other."""
