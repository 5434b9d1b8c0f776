"""`Network x Device -> Deployment`: placement, memory planning, parameters of the target."""
