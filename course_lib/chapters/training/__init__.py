"""What belongs to the chapter “Training” and to no other."""
