"""MAgent's six grid worlds, one file each, and the engine that they share."""
