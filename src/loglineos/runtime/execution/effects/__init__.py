"""Effects: what code of the house may ask of the world, each authorised, journaled and bounded."""
