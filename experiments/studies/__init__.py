"""Published experiments of the classical literature, each done again: one file a study."""
