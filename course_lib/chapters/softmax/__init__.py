"""What belongs to the chapter “Softmax” and to no other."""
