"""What belongs to the chapter “Positions and RoPE” and to no other."""
