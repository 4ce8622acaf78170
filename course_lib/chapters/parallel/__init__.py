"""What belongs to the chapter “Parallel” and to no other."""
