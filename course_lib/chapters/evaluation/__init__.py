"""What belongs to the chapter “Evaluation” and to no other."""
