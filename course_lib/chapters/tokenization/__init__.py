"""What belongs to the chapter “Tokenization” and to no other."""
