"""The parts of the story: what is driven, compared and told."""
