"""What an exercise is: the key and its cells, what is released of it, and what a learner hands in."""
