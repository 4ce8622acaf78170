"""What belongs to the chapter “FlashAttention” and to no other."""
