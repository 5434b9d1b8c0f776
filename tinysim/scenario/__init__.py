"""What a node does all day: always-on scenarios on a battery, and inference on harvested energy."""
