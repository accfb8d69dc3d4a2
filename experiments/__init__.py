"""Entry points: flags become one Config, the Config becomes a run directory."""
