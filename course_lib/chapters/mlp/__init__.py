"""What belongs to the chapter “MLP and experts” and to no other."""
