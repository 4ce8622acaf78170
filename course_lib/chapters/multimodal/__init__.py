"""What belongs to the chapter “Multimodal” and to no other."""
