"""The web: blueprints, and error -> HTTP in one place. Views parse, call once, and reply."""
