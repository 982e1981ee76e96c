"""What the program reaches, side by side with what it is held against: each file measures one kind of thing."""
