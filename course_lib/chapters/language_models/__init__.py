"""What belongs to the chapter “Language models” and to no other."""
