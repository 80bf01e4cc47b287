"""Jobs as people see them: asked for, watched, and taken away as models."""
