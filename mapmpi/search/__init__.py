"""Planned exploration: an energy map learned on the way, the plan over it, and the archive of states."""
