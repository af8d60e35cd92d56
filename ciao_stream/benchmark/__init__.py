"""Learn tasks one after another with several strategies: options -> plan -> prepare -> run -> cells."""
