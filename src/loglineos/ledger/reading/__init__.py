"""Reading in the name of a viewer: timeline, lives, ghosts, distributions, followers."""
