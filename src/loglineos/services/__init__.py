"""What the node does for people, one folder per verb. Imports the runtime and what lies below."""
