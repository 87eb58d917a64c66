"""The pages of the rules, shipped with the plugin so that a message can name one that is there."""
