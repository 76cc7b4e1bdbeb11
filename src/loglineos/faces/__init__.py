"""Faces: how people and programs meet the node. No rule of the house lives here."""
