"""What belongs to the chapter “Start here” and to no other."""
