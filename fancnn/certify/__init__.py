"""State the escape rate that can be proven, or plan how many parts that takes."""
