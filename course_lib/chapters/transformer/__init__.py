"""What belongs to the chapter “The whole transformer” and to no other."""
