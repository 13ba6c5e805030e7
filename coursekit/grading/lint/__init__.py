"""What can be said against an exercise without running it. What shows when it runs is in ``marking/proof.py``."""
