"""The simulator, tried as a real process over real HTTP."""
