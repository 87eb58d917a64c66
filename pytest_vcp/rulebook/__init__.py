"""The literal table of rules, a module for each section of the standard."""
