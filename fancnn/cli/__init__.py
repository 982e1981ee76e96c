"""Start a command: compose its configuration, check it, run its story, print mistakes in words."""
