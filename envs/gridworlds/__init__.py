"""Small worlds on boards: few states, all of which can be listed. Classics from the 1990s on."""
